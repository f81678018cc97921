"""The page that lists the rows of the CDS Hooks checklist, each with its tests or the reason why it has none."""

import ast
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cds_hooks.tools.kit.contract.registry import SECTIONS, rows

_TESTS: Final = Path(__file__).parents[1] / "tests" / "conformance"


def conformance_page() -> str:
    """Return the page in Markdown."""
    tests, reasons = tests_of_rows(), _reasons()
    binding = {row.id: row for row in rows().values() if row.binds_a_service}
    tested = [name for name in binding if name in tests]
    lines = [
        "# Conformance",
        "",
        "Made by `make docs` from `tests/conformance`. The rows are those of the CDS Hooks checklist (2.0.1, with 1.0, "
        "1.1 and 3.0 where a client uses them); the words are our own. Each row that binds a service is tested from "
        "outside in `tests/conformance`, or there is a reason why not.",
        "",
        f"{len(binding)} rows bind a service: {len(tested)} are tested, {len(binding) - len(tested)} are stated.",
    ]
    for section in dict.fromkeys(row.section for row in binding.values()):
        lines += [
            "",
            f"## {section}: {SECTIONS[section]}",
            "",
            "| row | strength | says | tests |",
            "|---|---|---|---|",
        ]
        for row in binding.values():
            if row.section == section:
                shown = _names(tests[row.id]) if row.id in tests else f"stated: {_cell(reasons[row.id])}"
                lines.append(f"| {row.id} | {row.strength} | {_cell(row.statement)} | {shown} |")
    lines += [
        "",
        "## Rows that bind a client",
        "",
        "This server has to answer to their breach. Rows on fields of a hook's context (HK-…) are tested together.",
        "",
    ]
    lines += ["| row | tests |", "|---|---|"]
    lines += [f"| {name} | {_names(tests[name])} |" for name in sorted(set(tests) - set(binding))]
    return "\n".join(lines) + "\n"


def crd_page() -> str:
    """Return the page of CRD's requirements in Markdown."""
    lines = [
        "# CRD's requirements of a server, one by one",
        "",
        "Made by `make docs` from `tests/conformance/crd.csv`: every SHALL and SHALL NOT of Da Vinci CRD 2.0.1 that "
        "binds a server, by its number, with the test that shows that `coverage-requirements` holds it, or why there "
        "is none.",
        "",
        "| no. | what it asks | shown by | remark |",
        "|---|---|---|---|",
    ]
    with (_TESTS / "crd.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            shown = f"`{row['test']}`" if row["test"] else "no test"
            lines.append(f"| {row['id']} | {_cell(row['asks'])} | {shown} | {_cell(row['remark'])} |")
    return "\n".join(lines) + "\n"


def tests_of_rows() -> dict[str, list[str]]:
    """Return the tests of each row, by the mark `@row(...)` on them or on one of their cases."""
    tests: dict[str, list[str]] = {}
    for path in sorted(_TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for name in sorted(set(_rows_on(node))):
                    tests.setdefault(name, []).append(f"{path.stem}: {node.name}")
    return tests


def _rows_on(function: ast.FunctionDef) -> Iterator[str]:
    for call in (node for decorator in function.decorator_list for node in ast.walk(decorator)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "row":
            yield from (str(argument.value) for argument in call.args if isinstance(argument, ast.Constant))


def _reasons() -> dict[str, str]:
    with (_TESTS / "stated.csv").open(encoding="utf-8", newline="") as file:
        return {row["row"]: row["reason"] for row in csv.DictReader(file)}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _names(tests: list[str]) -> str:
    return ", ".join(f"`{name.replace('test_', '').replace('_', ' ')}`" for name in tests)
