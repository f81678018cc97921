"""`cds-hooks equation`: the commands, and how their results are printed."""
