"""HTTP: hooks, discovery, feedback, health, pages."""
