"""`cds-hooks build-sheet`: what an EHR's analyst types in where discovery is not read, and what will be seen."""
