"""A story told with the running suite, whose numbers a reader can check by hand; any other number ends it with exit code 1."""
