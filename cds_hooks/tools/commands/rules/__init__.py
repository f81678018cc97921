"""`cds-hooks rules`: the commands, the check of case files, the simulation over charts."""
