"""Documents by which points go back: what was stopped, not collected, came back or was lost."""
