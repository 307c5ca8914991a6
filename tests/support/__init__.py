"""What tests share: a real PostgreSQL, tokens of a test issuer, the suite's applications in one process."""
