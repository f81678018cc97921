"""Tests of the sample patients."""
