"""Monitoring of the record: decisions and feedback are counted once, day by day, and the counts are compared."""
