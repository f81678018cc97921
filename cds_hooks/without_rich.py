"""Loads httpx and structlog without rich and pygments, which both load where they are installed.

They colour the output of a terminal, and a server has none: 88 modules and 0.08 s of the start. What starts a server
imports this first; a command that draws with rich loads it as ever.
"""

import sys

_COLOURING = ("rich", "pygments")

_absent = [name for name in _COLOURING if name not in sys.modules]
sys.modules.update(dict.fromkeys(_absent))  # type: ignore[arg-type]  # None is how Python marks what is not to be imported
try:
    import httpx
    import structlog
finally:
    for name in _absent:
        del sys.modules[name]

__all__ = ["httpx", "structlog"]
