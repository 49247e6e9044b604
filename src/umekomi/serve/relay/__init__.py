"""Requests on models that other servers run: one module per family of routes, as in ``routes``.

What is known of a remote model is little: no tokenizer, no context. So its server counts tokens and refuses what is
too long, and a key pays for its input afterwards.
"""
