"""Medication rules, one module per family."""
