"""Tests of keys, releases and states."""
