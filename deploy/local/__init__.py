"""The whole suite on one machine: PostgreSQL, the services and the sandbox, started by one command."""
