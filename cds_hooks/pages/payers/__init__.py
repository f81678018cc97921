"""The page /payers: the coverage rules of payers, what changed in them, and a trial of an order."""
