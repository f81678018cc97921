"""Measures the service against a bare handler, and that nothing answered is lost: `make bench`."""
