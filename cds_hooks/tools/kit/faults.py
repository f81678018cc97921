"""What a number or a time that was given must be, in plain words: of settings, and of both command lines."""

from collections.abc import Mapping
from typing import Any, Final

_KINDS: Final = {
    "missing": "is required and missing",
    "extra_forbidden": "is not a known setting",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "greater_than": "must be over {gt:.10g}",
    "greater_than_equal": "must be {ge:.10g} or more",
    "less_than_equal": "must be {le:.10g} or less",
}


def needed(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    """Return what a value must be; `kind`, `message` and `limits` are those of pydantic's fault."""
    if kind.startswith("date"):
        return "must be a date or a time, as 2026-11-20 or 2026-11-20T14:00:00Z"
    if kind in _KINDS:
        return _KINDS[kind].format_map(limits)
    return message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
