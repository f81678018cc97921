"""What a run found: findings, the result of each row, the coverage; and the report as JSON.

Prints a report in the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cds_hooks.tools.kit.contract.document import MUST, Fault
from cds_hooks.tools.kit.contract.registry import SECTIONS, Check, Row, rows
from cds_hooks.tools.kit.tables import print_table


class Result(StrEnum):
    """How a row or check came out."""

    FAILED = "failed"
    ADVICE = "advice"
    HELD = "held"
    NOT_SEEN = "not seen"
    NOT_VISIBLE = "not visible"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that found faults of one row: what, where, how often; `faults` are the first few."""

    check: Check
    row: Row
    faults: tuple[Fault, ...]
    times: int


@dataclass(frozen=True, slots=True)
class RowResult:
    """One row of the checklist: its result and, where it was not judged, the reason."""

    row: Row
    result: Result
    reason: str = ""


@dataclass
class Outcome:
    """What one check did: the faults it found, what it could not test, whether it saw anything to judge."""

    check: Check
    faults: list[Fault] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    judged: int = 0

    @property
    def result(self) -> Result:
        """Faults count first; a check that was never handed anything has seen nothing."""
        if self.faults:
            return Result.FAILED if self.check.level == MUST else Result.ADVICE
        return Result.HELD if self.judged else Result.NOT_SEEN

    @property
    def reason(self) -> str:
        """Why nothing was seen."""
        return self.reasons[0] if self.reasons else f"no {self.check.subject.value} was seen"


@dataclass(frozen=True)
class Report:
    """The outcome of every check on one subject (an address or a file)."""

    subject: str
    outcomes: Sequence[Outcome]
    requests: int = 0
    seconds: float = 0.0
    stopped: str = ""
    dialect: str = "standard"
    cut_short: str = ""
    """Why the run ended before all checks were made; what is reported is what was known then."""

    @cached_property
    def findings(self) -> list[Finding]:
        """What was found, musts first, in the order of the checklist."""
        order = {row: position for position, row in enumerate(rows())}
        findings: list[Finding] = []
        for outcome in self.outcomes:
            groups: dict[str, list[Fault]] = {}
            for fault in outcome.faults:
                row = fault.row if fault.row in order else outcome.check.row
                groups.setdefault(row, []).append(fault)
            findings += (
                Finding(outcome.check, rows()[row], tuple(faults[:_SHOWN]), len(faults))
                for row, faults in groups.items()
            )
        return sorted(findings, key=lambda finding: (finding.check.level != MUST, order[finding.row.id]))

    @property
    def musts(self) -> list[Finding]:
        """The findings that make a server non-conformant."""
        return [finding for finding in self.findings if finding.check.level == MUST]

    @cached_property
    def rows(self) -> list[RowResult]:
        """The result of every row that is bound to a service or was judged, in the order of the checklist."""
        faulty_rows = {finding.row.id for finding in self.findings}
        results = []
        for row in rows().values():
            outcomes = [outcome for outcome in self.outcomes if row.id in outcome.check.rows]
            if row.unseen and row.is_seen_by in ("", self.dialect):
                results.append(RowResult(row, Result.NOT_VISIBLE, row.unseen))
            elif not row.unseen and (outcomes or row.id in faulty_rows):
                results.append(self._row(row, outcomes))
        return results

    def _row(self, row: Row, outcomes: list[Outcome]) -> RowResult:
        levels = {finding.check.level for finding in self.findings if finding.row.id == row.id}
        if levels:
            return RowResult(row, Result.FAILED if MUST in levels else Result.ADVICE)
        if any(outcome.judged and not outcome.faults for outcome in outcomes):
            return RowResult(row, Result.HELD)
        faulty = next((outcome.check.row for outcome in outcomes if outcome.faults), "")
        if faulty:
            return RowResult(row, Result.NOT_SEEN, f"its check found faults of {faulty}")
        return RowResult(row, Result.NOT_SEEN, outcomes[0].reason)

    @property
    def exit_code(self) -> int:
        """0 all musts hold, 1 a must failed, 2 nothing could be tested, or the run was cut short and no must failed."""
        return 2 if self.stopped else 1 if self.musts else 2 if self.cut_short else 0


def report_document(report: Report) -> dict[str, Any]:
    """Return the report as one object: findings with their places, the result of every row, the coverage."""
    return {
        "subject": report.subject,
        "dialect": report.dialect,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "exitCode": report.exit_code,
        **({"stopped": report.stopped} if report.stopped else {}),
        **({"cutShort": report.cut_short} if report.cut_short else {}),
        "mustsFailed": len(report.musts),
        "shouldsFailed": len(report.findings) - len(report.musts),
        "checks": len(report.outcomes),
        "coverage": coverage(report),
        "findings": [
            {
                "row": finding.row.id,
                "level": finding.check.level,
                "check": finding.check.name,
                "statement": finding.row.statement,
                "advice": finding.check.advice,
                "times": finding.times,
                "places": [_place(fault) for fault in finding.faults],
            }
            for finding in report.findings
        ],
        "rows": [
            {
                "row": row.row.id,
                "section": SECTIONS[row.row.section],
                "strength": row.row.strength,
                "bindsService": row.row.binds_a_service,
                "statement": row.row.statement,
                "result": row.result.value,
                **({"reason": row.reason} if row.reason else {}),
            }
            for row in report.rows
        ],
    }


def coverage(report: Report) -> dict[str, int]:
    """Count the rows that bind a service: how many there are, are visible, have a check, and came out how."""
    binding = [row for row in rows().values() if row.binds_a_service]
    return {
        "rowsThatBindAService": len(binding),
        "visibleFromOutside": sum(1 for row in binding if not row.unseen),
        "withACheck": sum(1 for row in report.rows if row.row.binds_a_service and not row.row.unseen),
        **{
            result.name.lower(): sum(row.row.binds_a_service and row.result is result for row in report.rows)
            for result in Result
            if result is not Result.NOT_VISIBLE
        },
    }


def _place(fault: Fault) -> dict[str, str]:
    members = {"found": fault.message, "where": fault.location, "request": fault.request}
    return {name: text for name, text in members.items() if text}


# A shape and a word, always both; color only repeats what they say.
_SIGNS = {MUST: ("✗ must", "bold red"), "should": ("△ should", "yellow")}
_SHOWN = 5
"""Faults of a finding that are told; the others are counted."""


def print_report(console: Console, report: Report, *, every_row: bool = False) -> None:
    """Print findings, then the sections, what was not seen and why, and a last line that says how it stands.

    `every_row` lists each row that was not seen or cannot be seen from outside.
    """
    if report.stopped:
        console.print(Text(report.stopped, style="bold red"))
        return
    for finding in report.findings:
        console.print(_printed_finding(finding))
    print_table(_sections(report), console)
    if every_row:
        print_table(_not_judged(report), console)
    console.print(_last_lines(report))


def _printed_finding(finding: Finding) -> Group:
    sign, style = _SIGNS[finding.check.level]
    head = Text.assemble((f"{sign} ", style), (f"{finding.row.id}  ", "bold"), finding.row.statement)
    lines = [head]
    for fault in finding.faults:
        where = " · ".join(part for part in (fault.location, fault.request) if part)
        lines.append(Text(f"    {fault.message}" + (f"\n      at {where}" if where else "")))
    if finding.times > _SHOWN:
        lines.append(Text(f"    … {finding.times} times in all", style="dim"))
    lines.append(Text(f"    → {finding.check.advice}", style="italic"))
    return Group(*lines, Text())


def _sections(report: Report) -> Table:
    headings = ("section", "rows", "held", "✗ must", "△ should", "not seen", "hidden")
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for letters, name in SECTIONS.items():
        results = [row.result for row in report.rows if row.row.section == letters]
        if results:
            counts = [results.count(kind) for kind in _COLUMNS]
            table.add_row(f"{letters}  {name}", str(len(results)), *(str(count) if count else "·" for count in counts))
    return table


_COLUMNS = (Result.HELD, Result.FAILED, Result.ADVICE, Result.NOT_SEEN, Result.NOT_VISIBLE)


def _not_judged(report: Report) -> Table:
    table = Table("row", "says", "not judged because", box=box.SIMPLE_HEAD)
    for row in report.rows:
        if row.reason:
            table.add_row(row.row.id, Text(row.row.statement), Text(row.reason))
    return table


def _last_lines(report: Report) -> Group:
    counts = coverage(report)
    shoulds = len(report.findings) - len(report.musts)
    stands = "every must that was seen holds" if not report.musts else f"{len(report.musts)} must failed"
    if report.requests:
        extent = f"{len(report.outcomes)} checks, {report.requests} requests in {report.seconds:.1f} s"
    else:
        extent = f"{len(report.outcomes)} checks of documents"
    return Group(
        *([Text(f"Not complete: {report.cut_short}.", style="bold yellow")] if report.cut_short else []),
        Text(f"{report.subject}: {extent}, dialect {report.dialect}"),
        Text(
            f"Of {counts['rowsThatBindAService']} rows that bind a service, {counts['visibleFromOutside']} can be seen "
            f"from outside and {counts['withACheck']} have a check here; in this run {counts['held']} held, "
            f"{counts['failed'] + counts['advice']} did not, {counts['not_seen']} were not seen."
        ),
        Text(
            f"{stands}, {shoulds} {'piece' if shoulds == 1 else 'pieces'} of advice",
            style="bold red" if report.musts else "bold green",
        ),
    )
