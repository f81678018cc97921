"""Writes a report for machines: JSON and JUnit XML."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from cds_hooks.contract.finding import MUST
from cds_hooks.contract.report import Finding, Outcome, Report, Result
from cds_hooks.contract.rows import SECTIONS, rows


def as_json(report: Report) -> dict[str, Any]:
    """The report as one object: findings with their places, the result of every row, the coverage."""
    return {
        "subject": report.subject,
        "dialect": report.dialect,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "exitCode": report.exit_code,
        **({"stopped": report.stopped} if report.stopped else {}),
        "mustsFailed": len(report.musts),
        "shouldsFailed": len(report.findings) - len(report.musts),
        "checks": len(report.outcomes),
        "coverage": coverage(report),
        "findings": [_finding(finding) for finding in report.findings],
        "rows": [
            {
                "row": each.row.id,
                "section": SECTIONS[each.row.section],
                "strength": each.row.strength,
                "bindsService": each.row.binds_a_service,
                "statement": each.row.statement,
                "result": each.result.value,
                **({"reason": each.reason} if each.reason else {}),
            }
            for each in report.rows
        ],
    }


def coverage(report: Report) -> dict[str, int]:
    """How many of the rows that bind a service there are, can be seen from outside, have a check, and came out how."""
    binding = [row for row in rows().values() if row.binds_a_service]
    return {
        "rowsThatBindAService": len(binding),
        "visibleFromOutside": sum(1 for row in binding if not row.unseen),
        "withACheck": sum(1 for each in report.rows if each.row.binds_a_service and not each.row.unseen),
        **{result.name.lower(): report.counted(result) for result in Result if result is not Result.NOT_VISIBLE},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    places = [
        {name: text for name, text in (("found", each.found), ("where", each.place), ("request", each.request)) if text}
        for each in finding.faults
    ]
    return {
        "row": finding.row.id,
        "level": finding.level,
        "check": finding.check.name,
        "statement": finding.row.statement,
        "advice": finding.check.advice,
        "times": finding.times,
        "places": places,
    }


def as_junit(reports: Sequence[Report]) -> str:
    """One test suite for each report, one test case for each check.

    A must that failed is a failure, a should that failed passes with its finding as output, what could not be tried is
    skipped with the reason.
    """
    suites = ElementTree.Element("testsuites", name="cds-hooks check")
    for report in reports:
        suite = ElementTree.SubElement(suites, "testsuite", name=report.subject, tests=str(len(report.outcomes)))
        suite.set("time", f"{report.seconds:.3f}")
        suite.set("errors", "1" if report.stopped else "0")
        suite.set("failures", str(sum(1 for each in report.outcomes if each.result is Result.FAILED)))
        suite.set("skipped", str(sum(1 for each in report.outcomes if each.result is Result.NOT_TESTED)))
        if report.stopped:
            ElementTree.SubElement(suite, "system-err").text = report.stopped
        for outcome in report.outcomes:
            _case(suite, outcome)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, outcome: Outcome) -> None:
    check = outcome.check
    name = f"{check.row} {check.words}"
    case = ElementTree.SubElement(suite, "testcase", classname=f"cds-hooks.{check.group}", name=name)
    if outcome.result is Result.NOT_TESTED:
        ElementTree.SubElement(case, "skipped", message=outcome.reason)
    elif outcome.faults and check.level == MUST:
        failure = ElementTree.SubElement(case, "failure", message=f"{check.row}: {check.advice}", type=check.level)
        failure.text = _told(outcome)
    elif outcome.faults:
        ElementTree.SubElement(case, "system-out").text = f"{check.row} (should): {check.advice}\n{_told(outcome)}"


def _told(outcome: Outcome) -> str:
    lines = [" · ".join(part for part in (each.found, each.place, each.request) if part) for each in outcome.faults]
    # XML 1.0 cannot hold control characters, which an answer may.
    return "".join(character for character in "\n".join(lines[:50]) if character >= " " or character == "\n")
