"""The floor that talks to the EHR: HTTP, protocol, services, storage."""
