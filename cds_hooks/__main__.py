"""`python -m cds_hooks`."""

from cds_hooks.cli import main

main()
