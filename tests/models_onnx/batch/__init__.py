"""Tests of scoring tables."""
