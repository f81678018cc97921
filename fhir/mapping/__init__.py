"""What the facts of a record mean: medications, conditions, kidney function, stays, and the features of models."""
