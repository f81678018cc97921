"""The sheet for an EHR's analyst: what is typed in there, because discovery is not read, and what will be seen."""
