"""The client's side: builds hook calls from charts, sends them, prints cards, serves charts as a FHIR server."""
