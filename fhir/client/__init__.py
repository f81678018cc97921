"""Reads from a FHIR server: one resource or a search with all its pages, within a deadline and bounds."""
