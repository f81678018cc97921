"""Fits the families of models that can be declared in a specification."""
