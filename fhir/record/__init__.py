"""The record of one patient: lean FHIR types, dates and times, measured values, and what was refused."""
