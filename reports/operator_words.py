"""What people read in the place of words of columns, settings and code; ARCHITECTURE.md says which is which."""

PROMISED = "promised false alarms"
"""of `alpha`"""
_STATES = {
    "sealed": "complete",
    "already sealed": "complete already",
    "partly sealed": "partly complete",
    "not sealed": "not complete",
}


def state_in_words(state: str) -> str:
    """A state of a night's category as people read it; a state without other words stays."""
    return _STATES.get(state, state)
