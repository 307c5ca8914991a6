"""Two people for one act: what can stand between who asked and who agrees (G41).

People are compared by `person`, which stays the same over all sign-ins of one human, never by the name they sign in with.
"""

from shared.errors import DomainError


class ApprovalPending(DomainError):
    """Somebody asked for this already; a second person has to decide first."""


class SelfApprovalForbidden(DomainError):
    """Who asked for something cannot be the one who agrees to it."""


class ApprovalStale(DomainError):
    """What was asked for changed since, or a day went by; ask anew."""


class NothingToApprove(DomainError):
    """Nobody asked for this."""
