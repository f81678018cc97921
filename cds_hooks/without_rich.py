"""Loads structlog, and httpx where it is needed, without rich and pygments, which both load where they are installed.

They colour the output of a terminal, and a server has none: 88 modules and 0.08 s of the start. What starts a server
imports this first; a command that draws with rich loads it as ever.
"""

import sys
from importlib import import_module

_COLOURING = ("rich", "pygments")


def load(name: str) -> None:
    """Imports the module of this name as if rich and pygments were not installed."""
    absent = [each for each in _COLOURING if each not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how Python marks what is not to be imported
    try:
        import_module(name)
    finally:
        for each in absent:
            del sys.modules[each]


load("structlog")
