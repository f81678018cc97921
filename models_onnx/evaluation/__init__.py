"""Figures of a model on people it was not trained on; numpy only."""
