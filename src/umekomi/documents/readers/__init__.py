"""One module for each format: a file to passages of raw text."""
