"""The customer's address book, sealed under a key of their own."""
