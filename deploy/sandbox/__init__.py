"""Stand-ins for what only a bank has; for one machine and for tests, never for a bank."""
