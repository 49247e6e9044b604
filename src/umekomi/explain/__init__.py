"""What a target owes to the texts beside it: regression on embeddings that first asks whether there is anything."""
