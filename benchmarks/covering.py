"""Which tests run which function: for a fault in a function `make mutants` asks the tests that run it.

    python -m benchmarks.covering        # about ten minutes; again after much has changed

Runs the quick tests once under coverage.py and writes `var/covering.json`. A function that is new since then has no
tests there; those of its folder are asked.
"""

import ast
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
FILE = ROOT / "var" / "covering.json"
PARTS = ("cards", "cds_hooks", "fhir", "models_onnx")


class Covering(NamedTuple):
    """Which tests (`tests/test_a.py::test_b`, without their parameters) run which function."""

    seconds: dict[str, float]
    """How long each test takes."""
    functions: dict[str, dict[str, list[int]]]
    """By path and qualified name of a function: the places of the tests among those of `seconds`."""

    def tests_of(self, path: str, function: str) -> list[str]:
        """Return the tests that run a function, the quickest first."""
        names = list(self.seconds)
        tests = [names[number] for number in self.functions.get(path, {}).get(function, ())]
        return sorted(tests, key=self.seconds.__getitem__)


def function_at(text: str, line: int) -> str:
    """Return the qualified name of the outermost function whose body holds the line; empty where none does."""
    for name, first, last in functions_of(text):
        if first <= line <= last:
            return name
    return ""


@cache
def functions_of(text: str) -> tuple[tuple[str, int, int], ...]:
    """Return name, first line of the body and last line of each function of a module and of its classes."""

    def within(body: list[ast.stmt], owner: str) -> list[tuple[str, int, int]]:
        functions = []
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append((owner + node.name, node.body[0].lineno, node.end_lineno or node.lineno))
            elif isinstance(node, ast.ClassDef):
                functions += within(node.body, f"{owner}{node.name}.")
        return functions

    return tuple(within(ast.parse(text).body, ""))


@cache
def read_covering() -> Covering:
    """Return what was written last; the tests are run first where nothing was."""
    if not FILE.exists():
        print("Finding out which tests run which function, once (about ten minutes) ...", flush=True)
        write_covering()
    return Covering(**json.loads(FILE.read_text(encoding="utf-8")))


def write_covering() -> None:
    """Run the quick tests under coverage.py and write which of them ran which function."""
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder) / "coverage", Path(folder) / "report.xml"
        Path(folder, "settings").write_text(f"[run]\nsource = {','.join(PARTS)}\ndata_file = {data}\n")
        options = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadfile"]
        options += [
            "--cov",
            f"--cov-config={folder}/settings",
            "--cov-context=test",
            "--cov-report=",
            f"--junitxml={report}",
        ]
        subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False)
        seconds = _seconds(report)
        covering = Covering(seconds, _functions(data, {test: number for number, test in enumerate(seconds)}))
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(covering._asdict()), encoding="utf-8")


def _functions(data: Path, numbers: dict[str, int]) -> dict[str, dict[str, list[int]]]:
    connection = sqlite3.connect(data)
    files = dict(connection.execute("SELECT id, path FROM file"))
    contexts = dict(connection.execute("SELECT id, context FROM context"))
    functions: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for file, context, bits in connection.execute("SELECT file_id, context_id, numbits FROM line_bits"):
        path, test = Path(files[file]), contexts[context].partition("[")[0].partition("|")[0]
        if test not in numbers or path.suffix != ".py" or not path.exists():
            continue
        lines = {8 * byte + bit for byte, bits_of in enumerate(bits) for bit in range(8) if bits_of & 1 << bit}
        for name, first, last in functions_of(path.read_text(encoding="utf-8")):
            if not lines.isdisjoint(range(first, last + 1)):
                functions[os.path.relpath(path, ROOT)][name].add(numbers[test])
    return {path: {name: sorted(tests) for name, tests in names.items()} for path, names in functions.items()}


def _seconds(report: Path) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it just now
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
        seconds[name] += float(case.get("time", 0))
    return {name: round(duration, 2) for name, duration in seconds.items()}


if __name__ == "__main__":
    write_covering()
