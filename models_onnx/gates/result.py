"""What a gate says: passed, failed, not run, insufficient or waived, and why. Only passed and waived are green."""

from typing import Any, Literal

from msgspec import Struct

Status = Literal["passed", "failed", "not run", "insufficient", "waived"]
GREEN: frozenset[Status] = frozenset({"passed", "waived"})

Figures = dict[str, Any]
Rows = list[dict[str, Any]]


class NotRun(Exception):
    """Raised by a gate that lacks what it needs; the sentence says what. It is red."""


class Insufficient(Exception):
    """Raised by a gate whose data are too few to say either way; the sentence says which. It is red."""


class Verdict(Struct, frozen=True):
    """What a gate found: `faults` are sentences, and none means passed; `said` is the sentence for that case."""

    said: str
    faults: tuple[str, ...] = ()
    figures: Figures = {}
    rows: Rows = []


class Result(Struct, frozen=True, kw_only=True):
    """One gate of a report."""

    gate: str
    title: str
    status: Status
    why: str
    faults: tuple[str, ...] = ()
    figures: Figures = {}
    rows: Rows = []
    waiver: dict[str, Any] | None = None

    @property
    def green(self) -> bool:
        """Whether it lets the model through."""
        return self.status in GREEN
