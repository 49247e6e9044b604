"""What a model is: its card, where it comes from and where it is kept. Nothing runs here."""
