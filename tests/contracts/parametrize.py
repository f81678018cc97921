"""Gives the tests of `contracts.py` the parts that their arguments name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cds_hooks.people.pages.doors import Door
from tests.contracts.contracts import SAMPLE_NAMES

if TYPE_CHECKING:
    import pytest

_TESTS: Final = Path(__file__).with_name("contracts.py")


def parametrize(metafunc: "pytest.Metafunc", parts: dict[str, list[Any]]) -> None:
    """Give a test of this package the parts that its arguments name; without a part it is skipped."""
    if metafunc.function.__code__.co_filename != str(_TESTS):
        return
    names = set(metafunc.fixturenames)
    if "sample" in names:
        metafunc.parametrize("sample", SAMPLE_NAMES)
    key = "service,hook" if {"service", "hook"} <= names else next((name for name in parts if name in names), None)
    if key is not None:
        metafunc.parametrize(key, parts[key], ids=[_words(part) for part in parts[key]])


def _words(part: Any) -> str:
    match part:
        case str():
            return part
        case tuple():
            return "-".join(part)
        case Door():
            return part.path
    return repr(part)
