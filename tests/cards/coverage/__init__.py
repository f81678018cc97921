"""Coverage requirements of payers as data."""
