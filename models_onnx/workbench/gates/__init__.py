"""The gates G1 to G18 of responsible-ai.md 5.6: what a model has to pass before it may be shown, as code."""
