"""The record's schema, step by step; `migrate.upgrade` runs what is missing."""
