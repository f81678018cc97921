"""The interface for a copilot: read-only tools (`tools.py`), served by the Model Context Protocol (`server.py`)."""
