"""Pairs of drugs that labels name: a table, and the one rule that reads it."""
