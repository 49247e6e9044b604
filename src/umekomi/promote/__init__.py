"""A proved model to a served name: switched in one step, undone where anything is wrong, written down."""
