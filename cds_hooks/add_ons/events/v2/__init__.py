"""Reads HL7 v2 messages and maps them to FHIR R4."""
