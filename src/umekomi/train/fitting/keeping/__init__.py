"""What a training leaves on the disk while it runs: checkpoints, the curve, and the room that they take."""
