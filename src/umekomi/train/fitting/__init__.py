"""Fitting a model's weights to training pairs: losses, steps, checkpoints, and the curve of it all."""
