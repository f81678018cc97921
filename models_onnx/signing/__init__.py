"""Releases: which files belong together, in which state they are, and who signed that."""
