"""From chunks of documents to reviewed training pairs: a local LLM writes queries, filters and people judge."""
