"""Who acts, as one service says it to another in the body of a call."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from shared.audit import Actor
from shared.identity import Principal

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ActorBody(BaseModel):
    """The person or rule on whose behalf a service calls; believed because it comes with a service's token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Word
    kind: Word
    channel: Word
    reason: Annotated[str, StringConstraints(max_length=500)] = ""

    def as_actor(self, who: Principal) -> Actor:
        """The actor for audit rows: the service that called, on behalf of whom it names."""
        return Actor(who.actor, self.channel, self.reason, on_behalf_of=f"{self.kind}:{self.subject}")
