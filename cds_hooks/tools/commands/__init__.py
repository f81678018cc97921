"""The commands of `cds-hooks`, one module each."""
