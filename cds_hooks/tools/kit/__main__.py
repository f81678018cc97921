"""`python -m cds_hooks.tools.kit`: the command line of the kit, as the distribution `cds-hooks-kit` installs it."""

from cds_hooks.tools.kit.main import main

main()
