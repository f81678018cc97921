"""Run `cds-hooks` with other constants than its own, for tests that cannot wait for those: `python -m tests.constants`.

The variable CONSTANTS names them as JSON: those of the settings, or constants of a module as `module:NAME`; worker
processes, which import this module again, get them, too. `settings_with` does the same for one object.
"""

import json
import os
from importlib import import_module
from typing import Any

from cds_hooks.cli import main
from cds_hooks.settings import Settings


def settings_with(**values: Any) -> Settings:
    """Return settings with these values, of which some may be constants."""
    given = {name: value for name, value in values.items() if name in Settings.model_fields}
    constants = {name: value for name, value in values.items() if name not in given}
    unknown = [name for name in constants if not hasattr(Settings, name)]
    assert not unknown, f"neither settings nor constants: {unknown}"
    if not constants:
        return Settings(**given)

    class Other(Settings):
        """Settings with other constants."""

    for name, value in constants.items():
        setattr(Other, name, value)
    return Other(**given)


for name, value in json.loads(os.environ.get("CONSTANTS", "{}")).items():
    module, _, constant = name.partition(":")
    if constant:
        setattr(import_module(module), constant, value)
    else:
        setattr(Settings, name, value)

if __name__ == "__main__":
    main()
