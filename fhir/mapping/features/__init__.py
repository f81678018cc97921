"""The features of models and equations: one module for each group of kinds (docs/adding/feature.md)."""
