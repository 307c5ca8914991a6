"""The redemption: its states, and how one is carried to its end."""
