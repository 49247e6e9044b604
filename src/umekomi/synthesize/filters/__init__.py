"""What may be wrong with a query that an LLM wrote: each filter says which pairs go, and what it saw."""
