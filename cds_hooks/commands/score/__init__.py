"""`cds-hooks score`: tables and folders of FHIR."""
