"""The service's own books: every voucher and use is checked against what explains it."""
