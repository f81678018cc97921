"""The checks, grouped by section; a new one is one function with a decorator."""
