"""The page /summary: what the chart of the patient says whose EHR opened this server."""
