"""The suite in containers: the passwords and keys that are made at the first start, and the proxy in front."""
