"""Looking through what is offered: by category, price and text, the same answer for every customer (K9)."""
