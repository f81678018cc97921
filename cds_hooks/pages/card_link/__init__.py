"""The address /open, which the link of a card leads to."""
