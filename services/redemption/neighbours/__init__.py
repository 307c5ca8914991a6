"""The other services, in this service's own words."""
