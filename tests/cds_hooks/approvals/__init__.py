"""Approvals by the keys of two people."""
