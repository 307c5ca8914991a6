"""What a database server needs before the suite can use it."""
