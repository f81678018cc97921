"""The record's schema, step by step; `upgrade_schema` (storage/opening.py) runs what is missing."""
