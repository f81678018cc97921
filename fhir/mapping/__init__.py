"""From facts to features."""
