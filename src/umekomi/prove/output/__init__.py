"""A proof to its folder."""
