"""The page /services: what can be called, the equations, and which checks exist."""
