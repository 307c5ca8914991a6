"""Sample data, made up, for trials and demonstrations."""
