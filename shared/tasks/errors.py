"""What can be wrong with starting a parked task again."""

from shared.errors import DomainError


class TaskNotParked(DomainError):
    """The task is not parked, so there is nothing to start again."""


class TaskSuperseded(DomainError):
    """A later task for the same thing is waiting or running already."""
