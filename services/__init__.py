"""The three services and the console, one package each; none imports another."""
