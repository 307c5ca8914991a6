"""The requests of each kind, as files for the load generator."""

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from benchmarks import scenery
from benchmarks.lab import Lab
from services.fulfillment.vouchers.codes import CodeSafe
from shared.secrets import Vault

HOST = "Host: 127.0.0.1\r\nAccept: application/json\r\n"
LANGUAGE = "Accept-Language: en\r\n"


class Requests:
    """Writes files of requests below a folder."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder

    def redeeming(self, offers: Sequence[tuple[str, str]], *, seed: int = 1) -> str:
        """Any customer redeems one of any of the offers, each time under a new key."""
        heads = [
            f"POST /v1/redemptions HTTP/1.1\r\n{HOST}{LANGUAGE}Authorization: Bearer {token}\r\nIdempotency-Key: {{number}}\r\n"
            for token in self._customer_tokens()
        ]
        bodies = [
            json.dumps({"campaign": campaign, "lines": [{"offer_id": offer, "offer_version": 1, "quantity": 1}]})
            for campaign, offer in offers
        ]
        return self._write("redeeming", {"heads": heads, "bodies": bodies, "seed": seed})

    def reading(self, path: str, headers: str = "", *, customers: int = 1_000) -> str:
        """Any customer reads this."""
        heads = [
            f"GET {path} HTTP/1.1\r\n{HOST}{LANGUAGE}Authorization: Bearer {token}\r\n{headers}"
            for token in self._customer_tokens()[:customers]
        ]
        return self._write("reading", {"heads": heads, "bodies": [""]})

    def greeting(self) -> str:
        """The first page of a bare application."""
        return self._write("greeting", {"heads": [f"GET / HTTP/1.1\r\n{HOST}"], "bodies": [""]})

    def using(self, vouchers: int) -> str:
        """Each of so many vouchers is used once, by some till."""
        tokens = [self._lab.signer.for_client(f"till:{merchant}:{terminal}") for merchant, terminal in scenery.tills()]
        codes = self.codes(vouchers)
        heads = [
            f"PUT /v1/uses/{{number}} HTTP/1.1\r\n{HOST}{LANGUAGE}Authorization: Bearer {tokens[n % len(tokens)]}\r\n"
            for n in range(len(codes))
        ]
        return self._write("using", {"heads": heads, "bodies": [json.dumps({"code": code}) for code in codes], "once": True})

    def _customer_tokens(self) -> list[str]:
        return [self._lab.signer.for_person(scenery.subject(n)) for n in range(1, scenery.CUSTOMERS + 1)]

    def codes(self, most: int) -> list[str]:
        """Codes of vouchers that can be used; opened with the installation's own keys, as their owners would see them."""
        secrets = self._lab.suite.secrets
        vault = Vault({name: base64.b64decode(key) for name, key in secrets.voucher_keys.items()})
        safe = CodeSafe(vault, base64.b64decode(secrets.voucher_pepper))
        query = "SELECT id, code_sealed FROM vouchers WHERE state = 'issued' ORDER BY id LIMIT %s"
        with psycopg.connect(self._lab.suite.postgres().url("fulfillment")) as conn:
            return [safe.open(voucher, bytes(sealed)) for voucher, sealed in conn.execute(query, [most])]

    def _write(self, name: str, spec: object) -> str:
        file = self._folder / f"{name}-{time.monotonic_ns()}.json"
        file.touch(0o600)
        file.write_text(json.dumps(spec))
        return str(file)
