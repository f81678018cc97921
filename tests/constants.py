"""Run `cds-hooks` with other constants than its own, for tests that cannot wait for those: `python -m tests.constants`.

The variable CONSTANTS names them as JSON: fields of the settings, or constants of a module as `module:NAME`; worker
processes, which import this module again, get them, too.
"""

import json
import os
from importlib import import_module

from cds_hooks.cli import main
from cds_hooks.settings import Settings

for name, value in json.loads(os.environ["CONSTANTS"]).items():
    module, _, constant = name.partition(":")
    if constant:
        setattr(import_module(module), constant, value)
    else:
        Settings.model_fields[name].default = value
Settings.model_rebuild(force=True)

if __name__ == "__main__":
    main()
