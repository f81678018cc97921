"""Predictions: specifications, training, artifacts, runtime."""
