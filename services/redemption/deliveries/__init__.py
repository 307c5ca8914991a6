"""How goods reach the customer: the way that was chosen, and how far fulfillment says that each part is."""
