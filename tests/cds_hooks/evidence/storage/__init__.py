"""Tests of the decision record."""
