"""CDS services: one module declares one, and is found by itself."""
