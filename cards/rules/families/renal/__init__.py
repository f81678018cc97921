"""Rules about kidney function."""
