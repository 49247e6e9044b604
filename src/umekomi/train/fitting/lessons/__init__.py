"""What a step teaches: rows of pairs, the batches they go in, losses, a teacher's scores, and the score on dev."""
