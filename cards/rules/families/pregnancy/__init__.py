"""Rules about pregnancy."""
