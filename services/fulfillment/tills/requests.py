"""Turning what a till sends into requests: from here on a code is only its HMAC."""

from services.fulfillment.merchants.domain import Till
from services.fulfillment.tills.domain import ReversalRequest, UseRequest
from services.fulfillment.vouchers.codes import SYMBOLS, CodeSafe, normalise
from shared.audit import Actor
from shared.errors import FieldError
from shared.identity import Principal
from shared.ids import new_id
from shared.problems import InvalidInput
from shared.sets import as_json


class Requests:
    """Makes requests of what a till's token and body say."""

    def __init__(self, safe: CodeSafe) -> None:
        self._safe = safe

    def code_hmac(self, typed: str) -> bytes:
        """Under what a typed code is looked for; one that cannot be a code is looked for too, which takes as long."""
        return self._safe.look_up(normalise(typed))

    def use(self, who: Principal, till: Till, number: str, typed: str, till_reference: str | None) -> UseRequest:
        """A request to use a voucher. Codes that differ in case, spaces or hyphens alone are the same request.

        Raises InvalidInput when the code stands in the number or the reference too, which are kept and shown.
        """
        code = normalise(typed)
        for field, said in (("path:request_number", number), ("till_reference", till_reference or "")):
            if len(code) == SYMBOLS and code in normalise(said):
                raise InvalidInput(FieldError(field, "not-allowed"))
        return UseRequest(
            id=new_id(),
            till=till,
            request_number=number,
            code_hmac=self._safe.look_up(code),
            fingerprint=self._safe.fingerprint(as_json([code, till_reference])),
            till_reference=till_reference,
            actor=Actor.of(who, reason="used at the till"),
        )

    def reversal(self, who: Principal, till: Till, number: str, reason: str) -> ReversalRequest:
        """A request to take a use back."""
        return ReversalRequest(new_id(), till, number, Actor.of(who, reason=reason))
