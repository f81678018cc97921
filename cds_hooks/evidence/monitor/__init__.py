"""Monitoring: what the server counts for its pages, and the report of the command `monitor` by SQL over the record."""
