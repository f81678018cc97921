"""What the server uses for a prediction: find a model, run it, say who may be scored, rank the factors."""
