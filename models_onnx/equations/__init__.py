"""One module per published equation, its coefficients beside it as JSON."""
