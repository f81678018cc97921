"""Feeds of events: HL7 v2 messages and FHIR notifications come in, and patients are scored anew.

A server whose site declares no feeds (`CDS_EVENTS_FILE`) imports nothing of this package.
"""
