"""The models that an evaluation compares: opening them, their vectors of a task's texts, and what they cost."""
