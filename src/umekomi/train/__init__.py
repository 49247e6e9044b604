"""Work on a model's weights, where torch lives: converting, and fine-tuning."""
