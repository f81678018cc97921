"""Tests of the ground floor: facts."""
