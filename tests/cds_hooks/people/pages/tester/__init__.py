"""Tests of the tester's page."""
