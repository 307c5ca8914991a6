"""The sandbox's OpenID provider: signs in sample people without a password, for one machine and never for a bank."""
