"""Work that was set aside for a person, and redriving it by two."""
