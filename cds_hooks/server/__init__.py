"""The server as a whole: its application, its processes, its life and the edge of its network."""
