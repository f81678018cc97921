"""Facts of one patient: lean types, times, the record."""
