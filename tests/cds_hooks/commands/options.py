"""The options of every command with what each takes: bounds, default, how often; as a text.

python -m tests.cds_hooks.commands.options --write    # review the difference before you commit it
"""

import sys
from typing import Any, Final

from tests.cds_hooks.commands.test_misuse import COMMANDS
from tests.conftest import ROOT

PINNED: Final = ROOT / "tests" / "cases" / "options.txt"
_MARKS: Final = ("required", "multiple", "is_flag", "hidden", "is_eager", "count", "hide_input")
_USUAL: Final = {
    "exists": False, "file_okay": True, "dir_okay": True, "readable": True, "clamp": False, "case_sensitive": True,
    "min": None, "max": None,
}  # fmt: skip


def _line(parameter: Any) -> str:
    about = parameter.type_descriptor.parameter_info
    members = {name: getattr(about, name, usual) for name, usual in _USUAL.items()}
    default = parameter.default() if callable(parameter.default) else parameter.default
    bounds = [f"{name} {value}" for name, value in members.items() if value != _USUAL[name]]
    marks = [name for name in _MARKS if getattr(parameter, name, False)]
    names = " ".join((*parameter.opts, *parameter.secondary_opts))
    return "; ".join([names, f"default {default!r}".replace(str(ROOT), "."), *bounds, *marks])


def text() -> str:
    """Return each command with its parameters in their order."""
    lines = []
    for words, command in COMMANDS:
        lines += [f"# {' '.join(words)}{' (hidden)' if command.hidden else ''}", *map(_line, command.params)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__" and "--write" in sys.argv:
    PINNED.write_text(text(), encoding="utf-8")
