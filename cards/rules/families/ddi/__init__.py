"""Rules about interactions between drugs."""
