"""What can be done with redemptions, a verb a module."""
