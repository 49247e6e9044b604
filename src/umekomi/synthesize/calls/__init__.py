"""Calls of the LLM: who answers them, how many at once, what is kept of each, and when to give up."""
