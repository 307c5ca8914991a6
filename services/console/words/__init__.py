"""What the console itself says, in three languages."""
