"""The merchants and terminals that the catalog keeps, mirrored here, so that a till is known without asking (K10)."""
