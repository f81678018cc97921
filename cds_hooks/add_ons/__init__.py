"""Parts that a server runs without: feeds of events, and what reads notes."""
