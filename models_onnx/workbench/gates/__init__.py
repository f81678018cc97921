"""The nine gates: what a model has to pass before it may be shown, as code (docs/models/gates.md)."""
