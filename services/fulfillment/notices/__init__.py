"""Notices: what customers are told of their parcels, written down with the change that it tells, sent by the bank's gateway."""
