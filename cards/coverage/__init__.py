"""Coverage requirements of payers as data: policies, criteria in three values, and what they come to for an order."""
