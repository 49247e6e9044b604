"""Configurations of other servers, read into ours: what can be carried over, and what cannot, by name."""
