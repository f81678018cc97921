"""Decides which cards are held back: what a site and its people approved, switched or released, and what was shown."""
