"""Finding a caller, and everything about one customer on one page."""
