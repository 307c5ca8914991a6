"""Applications that the suite is compared with."""
