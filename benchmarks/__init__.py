"""How fast the suite is: every figure is the ratio of two things measured in turn on the same machine."""
