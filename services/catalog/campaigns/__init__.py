"""Campaigns and their immutable versions, rewards and offers."""
