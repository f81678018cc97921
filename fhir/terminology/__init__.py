"""Codes, units and names, with the tables that say what they mean."""
