"""Prints a report in the terminal."""

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from cds_hooks.contract.checklist import SECTIONS
from cds_hooks.contract.document import MUST
from cds_hooks.contract.report import Finding, Report, Result, coverage

# A shape and a word, always both; colour only repeats what they say.
_SIGNS = {MUST: ("✗ must", "bold red"), "should": ("△ should", "yellow")}
_SHOWN = 3


def print_report(console: Console, report: Report, *, every_row: bool = False) -> None:
    """Findings, then the sections, what was not seen and why, and a last line that says how it stands.

    `every_row` lists each row that was not seen or cannot be seen from outside.
    """
    if report.stopped:
        console.print(Text(report.stopped, style="bold red"))
        return
    for finding in report.findings:
        console.print(_finding(finding))
    console.print(_sections(report))
    if every_row:
        console.print(_not_judged(report))
    console.print(_last_lines(report))


def _finding(finding: Finding) -> Group:
    sign, style = _SIGNS[finding.level]
    head = Text.assemble((f"{sign} ", style), (f"{finding.row.id}  ", "bold"), finding.row.statement)
    lines = [head]
    for fault in finding.faults[:_SHOWN]:
        where = " · ".join(part for part in (fault.place, fault.request) if part)
        lines.append(Text(f"    {fault.found}" + (f"\n      at {where}" if where else "")))
    if finding.times > _SHOWN:
        lines.append(Text(f"    … {finding.times} times in all", style="dim"))
    lines.append(Text(f"    → {finding.check.advice}", style="italic"))
    return Group(*lines, Text())


def _sections(report: Report) -> Table:
    headings = ("section", "rows", "held", "✗ must", "△ should", "not seen", "hidden")
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for letters, name in SECTIONS.items():
        results = [each.result for each in report.rows if each.row.section == letters]
        if results:
            counts = [results.count(kind) for kind in _COLUMNS]
            table.add_row(f"{letters}  {name}", str(len(results)), *(str(count) if count else "·" for count in counts))
    return table


_COLUMNS = (Result.HELD, Result.FAILED, Result.ADVICE, Result.NOT_SEEN, Result.NOT_VISIBLE)


def _not_judged(report: Report) -> Table:
    table = Table("row", "says", "not judged because", box=box.SIMPLE_HEAD)
    for each in report.rows:
        if each.reason:
            table.add_row(each.row.id, Text(each.row.statement), Text(each.reason))
    return table


def _last_lines(report: Report) -> Group:
    counts = coverage(report)
    shoulds = len(report.findings) - len(report.musts)
    stands = "every must that was seen holds" if not report.musts else f"{len(report.musts)} must failed"
    if report.requests:
        made = f"{len(report.outcomes)} checks, {report.requests} requests in {report.seconds:.1f} s"
    else:
        made = f"{len(report.outcomes)} checks of documents"
    return Group(
        *([Text(f"Not complete: {report.cut_short}.", style="bold yellow")] if report.cut_short else []),
        Text(f"{report.subject}: {made}, dialect {report.dialect}"),
        Text(
            f"Of {counts['rowsThatBindAService']} rows that bind a service, {counts['visibleFromOutside']} can be seen "
            f"from outside and {counts['withACheck']} have a check here; in this run {counts['held']} held, "
            f"{counts['failed'] + counts['advice']} did not, {counts['not_seen']} were not seen."
        ),
        Text(f"{stands}, {shoulds} pieces of advice", style="bold red" if report.musts else "bold green"),
    )
