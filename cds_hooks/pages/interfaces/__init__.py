"""The page /interfaces: the feeds of events, and what could not be read of them."""
