"""Many files to one corpus.jsonl, in a run that goes on where it was interrupted and reads only what changed."""
