"""Two models on the same table: what lies elsewhere, and whether that is more than a placebo shows."""
