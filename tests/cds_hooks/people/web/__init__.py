"""Tests of the pages: what they say, and that nothing in them can run."""
