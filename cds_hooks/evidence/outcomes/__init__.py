"""What happened after a decision: read from clients and files, joined to decisions, and matured."""
