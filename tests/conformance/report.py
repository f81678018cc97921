"""`python -m tests.conformance.report`: runs the conformance tests and writes docs/conformance.md."""

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

import pytest

from cds_hooks.kit.contract.registry import SECTIONS
from tests.conformance.rows import FOLDER, NUMBERED, binding, shown, stated
from tests.conftest import ROOT

PAGE: Final = ROOT / "docs" / "conformance.md"
_PASSED: Final = "passed"


class _Outcomes:
    """What pytest says of each test function: `passed` where all its cases did, else its worst word."""

    def __init__(self) -> None:
        self.cases: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != _PASSED:
            path, _, name = report.nodeid.partition("::")
            self.cases[f"{path.rpartition('/')[2]}::{name.partition('[')[0]}"][report.outcome] += 1

    def of(self, test: str) -> str:
        words = self.cases.get(test, Counter({"not run": 1}))
        return next((word for word in ("failed", "skipped", "not run") if words[word]), _PASSED)


def page(outcomes: Mapping[str, str]) -> str:
    """The page; a test that is not among `outcomes` passed."""
    rows, named, reasons = binding(), shown(), stated()
    tested = [name for name in rows if name in named]
    beside = sorted(set(named) - set(rows))
    lines = [
        "# Conformance",
        "",
        "Made by `python -m tests.conformance.report`; a test compares. The rows are those of the CDS Hooks checklist "
        "(2.0.1, with 1.0, 1.1 and 3.0 where a client uses them); the words are our own. Each row that binds a "
        "service is tested from outside in `tests/conformance`, or there is a reason why not.",
        "",
        f"{len(rows)} rows bind a service: {len(tested)} are tested, {len(rows) - len(tested)} are stated. "
        f"{len(beside)} rows that bind a client, where this server has to answer to their breach, are tested as well.",
    ]
    for section in NUMBERED:
        lines += _section(section, named, reasons, outcomes)
    lines += ["", "## Rows that bind a client", "", "| row | tests | result |", "|---|---|---|"]
    lines += [f"| {name} | {_tests(named[name])} | {_result(named[name], outcomes)} |" for name in beside]
    return "\n".join(lines) + "\n"


def _section(
    section: str, named: Mapping[str, list[str]], reasons: Mapping[str, str], outcomes: Mapping[str, str]
) -> list[str]:
    rows = [each for each in binding().values() if each.section == section]
    if not rows:
        return []
    lines = [
        "",
        f"## {section}: {SECTIONS[section]}",
        "",
        "| row | strength | says | tests | result |",
        "|---|---|---|---|---|",
    ]
    for each in rows:
        tests = named.get(each.id, [])
        told = f"stated: {_cell(reasons.get(each.id, 'no reason'))}"
        result = _result(tests, outcomes) if tests else told
        lines.append(f"| {each.id} | {each.strength} | {_cell(each.statement)} | {_tests(tests)} | {result} |")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _tests(names: list[str]) -> str:
    return "<br>".join(
        f"`{name.replace('.py::test_', ': ').removeprefix('test_').replace('_', ' ')}`" for name in names
    )


def _result(names: list[str], outcomes: Mapping[str, str]) -> str:
    return ", ".join(sorted({outcomes.get(name, _PASSED) for name in names}))


def main() -> int:
    """Runs the tests, writes the page, gives pytest's exit code."""
    seen = _Outcomes()
    options = ["-q", "--no-header", "-p", "no:cacheprovider", f"--ignore={FOLDER / 'test_report.py'}"]
    code = pytest.main([*options, str(FOLDER)], plugins=[seen])
    outcomes = {test: seen.of(test) for found in shown().values() for test in found}
    PAGE.write_text(page(outcomes), encoding="utf-8")
    counts = Counter(outcomes.values())
    print(f"{PAGE.relative_to(ROOT)}: {len(binding())} rows, {len(stated())} stated, tests {dict(counts)}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
