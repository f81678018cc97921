"""`python -m cds_hooks.kit`: the command line of the kit, as the distribution `cds-hooks-kit` installs it."""

from cds_hooks.kit.main import main

main()
