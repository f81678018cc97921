"""Tests of the declared models and their committed artifacts."""
