"""An explanation to its folder."""
