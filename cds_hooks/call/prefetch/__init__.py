"""Prefetch: the templates of a service, the state of each key in a call, and fetching what is missing.

Templates are derived from features and rules, so nothing is asked for that nothing uses. They keep to the restricted
subset of CDS Hooks 2.0.1 (`template.py` says to what; a test holds every template to it).
"""
