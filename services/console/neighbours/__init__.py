"""The services and the identity provider as the console asks them."""
