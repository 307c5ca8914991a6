"""Signing in and out with the bank's identity provider."""
