"""Blocks to chunks: sentences, tokens, and the packing of both."""
