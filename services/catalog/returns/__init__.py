"""What comes back of a reservation, by a document of its own: units, places of quotas and budget (K7, F2, R6)."""
