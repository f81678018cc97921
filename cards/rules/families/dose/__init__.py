"""Doses and frequencies: maximum doses, doses that cannot be meant, and frequencies that kill."""
