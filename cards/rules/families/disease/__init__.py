"""Rules about diseases and values that forbid a drug."""
