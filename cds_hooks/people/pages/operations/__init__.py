"""The page /ops: what the server does, in tables with charts."""
