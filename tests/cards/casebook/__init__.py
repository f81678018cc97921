"""Tests of cards/casebook."""
