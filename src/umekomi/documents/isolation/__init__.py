"""Reading in processes of their own: what a hostile file breaks, hangs or fills is only the one that reads it."""
