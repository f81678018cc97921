"""Tests mirror the tree: tests/<floor>/test_<module>.py (tests/README.md)."""
