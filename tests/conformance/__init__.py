"""Every row of the CDS Hooks checklist that binds a service: tested under its id, or stated with a reason."""
