"""Files that the bank's systems send: customers, opening balances, points earned."""
