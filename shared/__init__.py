"""Mechanisms that every service uses: no business noun lives here."""
