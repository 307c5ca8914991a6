"""The service's own books: every counter is checked against what explains it."""
