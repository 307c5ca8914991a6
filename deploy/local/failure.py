"""The one error that the person at the keyboard is meant to read."""


class CannotStart(Exception):
    """Something on this machine prevents the start; the message says what and what to do, in one sentence."""
