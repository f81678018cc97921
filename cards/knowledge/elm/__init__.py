"""Interprets ELM, the form in which libraries of Clinical Quality Language are published."""
