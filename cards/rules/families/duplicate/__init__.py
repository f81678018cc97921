"""Rules about duplicate orders."""
