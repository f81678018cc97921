"""`cds-hooks model`: one module for each command or group of commands; `main.py` puts them together."""
