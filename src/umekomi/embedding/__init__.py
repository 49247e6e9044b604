"""The only way to turn text into vectors: prompts, truncation, the token-budget plan and the lanes."""
