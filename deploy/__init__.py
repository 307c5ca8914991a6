"""How the suite is run: on one machine, in containers, and past that."""
