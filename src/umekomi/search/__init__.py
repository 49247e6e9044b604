"""Finding the nearest texts."""
