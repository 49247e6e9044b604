"""Which embedding model is better on your own data, and whether the difference is more than chance."""
