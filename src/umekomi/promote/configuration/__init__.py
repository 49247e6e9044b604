"""umekomi.yaml as a text that people keep: read, edited in place, replaced in one step."""
