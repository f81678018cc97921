"""What a run found: findings, the result of each row, and how much of the checklist was seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cds_hooks.contract.finding import MUST, Fault, Level
from cds_hooks.contract.registry import Check
from cds_hooks.contract.rows import Row, rows


class Result(StrEnum):
    """How a row or check came out."""

    FAILED = "failed"
    ADVICE = "advice"
    HELD = "held"
    NOT_TESTED = "not tested"
    NOT_VISIBLE = "not visible"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that found faults of one row: what, where, how often; `faults` are the first few."""

    check: Check
    row: Row
    faults: tuple[Fault, ...]
    times: int

    @property
    def level(self) -> Level:
        """must or should."""
        return self.check.level


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row of the checklist: its result and, where it was not judged, the reason."""

    row: Row
    result: Result
    reason: str = ""


@dataclass
class Outcome:
    """What one check did: the faults it found, what it could not try, whether it saw anything to judge."""

    check: Check
    faults: list[Fault] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    judged: int = 0

    @property
    def result(self) -> Result:
        """Faults count first; a check that was never handed anything was not tested."""
        if self.faults:
            return Result.FAILED if self.check.level == MUST else Result.ADVICE
        return Result.HELD if self.judged else Result.NOT_TESTED

    @property
    def reason(self) -> str:
        """Why it was not tested."""
        return self.reasons[0] if self.reasons else f"no {self.check.of.value} was seen"


@dataclass(frozen=True)
class Report:
    """The outcome of every check on one subject (an address or a file)."""

    subject: str
    outcomes: Sequence[Outcome]
    requests: int = 0
    seconds: float = 0.0
    stopped: str = ""
    dialect: str = "standard"

    _SHOWN = 5

    @property
    def findings(self) -> list[Finding]:
        """What was found, musts first, in the order of the checklist."""
        order = {row: position for position, row in enumerate(rows())}
        found = []
        for outcome in self.outcomes:
            groups: dict[str, list[Fault]] = {}
            for fault in outcome.faults:
                groups.setdefault(fault.row or outcome.check.row, []).append(fault)
            for row, faults in groups.items():
                found.append(Finding(outcome.check, rows()[row], tuple(faults[: self._SHOWN]), len(faults)))
        return sorted(found, key=lambda each: (each.level != MUST, order[each.row.id]))

    @property
    def musts(self) -> list[Finding]:
        """The findings that make a server non-conformant."""
        return [finding for finding in self.findings if finding.level == MUST]

    @property
    def rows(self) -> list[RowResult]:
        """The result of every row that is bound to a service or was judged, in the order of the checklist."""
        found = {finding.row.id for finding in self.findings}
        results = []
        for row in rows().values():
            outcomes = [each for each in self.outcomes if row.id in each.check.rows]
            if row.unseen:
                results.append(RowResult(row, Result.NOT_VISIBLE, row.unseen))
            elif outcomes or row.id in found:
                results.append(self._row(row, outcomes))
        return results

    def _row(self, row: Row, outcomes: list[Outcome]) -> RowResult:
        levels = {finding.level for finding in self.findings if finding.row.id == row.id}
        if levels:
            return RowResult(row, Result.FAILED if MUST in levels else Result.ADVICE)
        if any(outcome.judged for outcome in outcomes):
            return RowResult(row, Result.HELD)
        return RowResult(row, Result.NOT_TESTED, outcomes[0].reason)

    def counted(self, result: Result) -> int:
        """How many rows that bind a service came out like this."""
        return sum(1 for each in self.rows if each.row.binds_a_service and each.result is result)

    @property
    def exit_code(self) -> int:
        """0 all musts hold, 1 a must failed, 2 nothing could be tested."""
        return 2 if self.stopped else 1 if self.musts else 0
