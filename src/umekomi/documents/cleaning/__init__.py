"""Raw text of a reader to clean blocks, each character of which leads back to the file."""
