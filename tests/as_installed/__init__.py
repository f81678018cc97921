"""First on the path of the servers that tests start: what only the development environment has is not found."""
