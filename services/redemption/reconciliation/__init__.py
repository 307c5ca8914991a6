"""Whether the books agree: this service's with themselves, and the three services' with each other."""
