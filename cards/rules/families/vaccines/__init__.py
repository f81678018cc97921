"""Rules about vaccines."""
