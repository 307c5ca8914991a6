"""The services that fulfillment asks, behind ports in its own words."""
