"""The elements of FHIR R4 (4.0.1) as a table: data alone, which published knowledge and the contract kit read."""
