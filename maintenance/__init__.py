"""Tools for maintainers of this project, run in a checkout as `python -m maintenance.NAME`; no part of the wheel."""
