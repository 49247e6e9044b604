"""Tokenizers built from what a model ships where it has no tokenizer.json: one module per kind of vocabulary."""
