"""The console: pages for the bank's staff. It owns no data, and speaks to the services with the agent's own token."""
