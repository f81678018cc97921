"""Discovery: what modules declare is found, and whatever is wrong is said with file, line and what was expected."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from msgspec import Struct

from models_onnx.declarations import find_declared, refuse_wrong_types
from models_onnx.errors import DeclarationError
from tests.each import each_row

IMPORTS = "from tests.models_onnx.test_declarations import Plan\n"


@dataclass(frozen=True)
class Plan:
    """What the modules of these tests declare."""

    id: str
    days: int = 1

    def __post_init__(self) -> None:
        refuse_wrong_types(self)
        if self.days < 0:
            raise DeclarationError(f"{self.id}: {self.days} days", "days")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package `plans`."""
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "plans"]:
        del sys.modules[name]


def found(**options: bool) -> dict[str, Plan]:
    return find_declared("plans", "PLAN", Plan, **options)  # type: ignore[arg-type]


@each_row(
    ("text", "said"),
    ids=["nothing", "another-kind", "another-name", "syntax", "import", "exit", "exception", "contradiction", "member"],
)
def test_what_is_wrong_is_said_with_file_and_line(package: Path, text: str, said: str) -> None:
    (package / "bad.py").write_text(IMPORTS + text)
    with pytest.raises(DeclarationError, match=said):
        found(named_after_file=True)


def test_an_id_that_is_taken_names_both_files(package: Path) -> None:
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(f"{IMPORTS}PLAN = Plan('same')\n")
    with pytest.raises(
        DeclarationError, match=r"^plans/two\.py, line 2: the id 'same' is already that of plans/one\.py$"
    ):
        found()


@dataclass(frozen=True)
class Part:
    """What a Schedule holds."""

    kind: Literal["walk", "swim"]
    share: float | None = None


class Clock(Struct, frozen=True):
    hour: int


@dataclass(frozen=True)
class Schedule:
    """A declaration with members of every type that the check knows."""

    id: str
    days: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    count: int = 1
    run: Callable[[], None] | None = None
    named: Mapping[str, int] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    pair: tuple[int, str] = (1, "")
    clock: Clock | None = None
