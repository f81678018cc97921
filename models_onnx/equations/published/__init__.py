"""Published equations: one module declares one, with its coefficients beside it as JSON where they are long."""
