"""Vouchers: issued to a customer's wallet, shown to their owner, expired when their time is over (F3)."""
