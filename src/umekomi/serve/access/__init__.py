"""Who may ask for what, how often, and what they used. Knows nothing of HTTP."""
