"""One module per model specification."""
