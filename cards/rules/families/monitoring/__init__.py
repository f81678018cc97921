"""Rules about tests that a drug needs."""
