"""What patient-view found missing and did not interrupt for, as a list in order of priority."""
