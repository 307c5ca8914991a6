"""What merchants' tills do with vouchers: verify, use once, reverse, ask how a use ended (F5)."""
