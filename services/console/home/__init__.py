"""What is waiting for me."""
