"""Who the customer is to us, with contact data that only a key of their own opens."""
