"""HTTP: OpenAI's protocol in front of `embedding`. One module per route family in ``routes``, JSON in ``wire``."""
