"""Tests of the floor the EHR talks to."""
