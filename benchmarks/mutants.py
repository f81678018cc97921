"""`make mutants`: puts small seeded faults into code, rules, tables and templates, and lists those no test notices.

Each fault is put into a copy of the committed files, and only the tests that concern the file run (not the slow ones).
Survivors are either mended by a test or listed in benchmarks/equivalent.csv with the reason why nothing changes.

    python -m benchmarks.mutants --share 12 --seed 7 tables rules templates code
    python -m benchmarks.mutants --share 3 code:cards/preventive
"""

import argparse
import ast
import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent.csv")
_KINDS: dict[str, Callable[[str], bool]] = {
    "tables": lambda name: bool(
        re.match(r"(fhir|cards|models_onnx|cds_hooks)/.*\.csv$|cards/(vacc|prev).*\.json$", name)
    ),
    "rules": lambda name: bool(re.match(r"cards/rules/families/.*\.json$", name)),
    "templates": lambda name: bool(re.match(r"(cds_hooks/(pages|web)|models_onnx)/.*\.(html|md)$", name)),
    "code": lambda name: bool(re.match(r"(fhir|cards|models_onnx|cds_hooks)/.*\.py$", name)),
}
_GENERIC = ("tests/tables", "tests/cards/rules/test_pinned.py", "tests/cards/rules/test_sweeps.py")
_CONCERNED = {
    "cards/rules/families": "tests/cards/rules/engine/test_page.py tests/cards/rules tests/cards/compose",
    "cds_hooks/pages": "tests/cds_hooks/web/test_templates.py tests/cds_hooks/pages tests/cds_hooks/web",
    "cds_hooks/web": "tests/cds_hooks/web/test_templates.py tests/cds_hooks/web tests/cds_hooks/pages",
    "models_onnx/templates": "tests/cds_hooks/web/test_templates.py tests/models_onnx/model_card",
    "fhir/mapping": "tests/fhir/mapping tests/cards/rules/test_cases.py",
}


class Fault(NamedTuple):
    """A changed text of a file, and what was changed."""

    path: str
    words: str
    text: str


def faults_of(path: str, text: str, chance: random.Random) -> Iterator[Fault]:
    """Yields faults of a file, in an order of chance, each a text that differs in one point."""
    make = {".py": _python, ".json": _json, ".csv": _csv}.get(Path(path).suffix, _template)
    changes = list(make(text))
    chance.shuffle(changes)
    for words, changed in changes:
        if (result := changed()) != text:
            yield Fault(path, words, result)


Change = tuple[str, Callable[[], str]]
_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "in": "not in"}
_ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*"}


def _python(text: str) -> Iterator[Change]:
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def at(node: ast.AST) -> tuple[int, int]:
        located: Any = node
        return starts[located.lineno - 1] + located.col_offset, starts[located.end_lineno - 1] + located.end_col_offset

    def changed(start: int, end: int, new: str) -> Change:
        old, line = raw[start:end].decode(), raw.count(b"\n", 0, start) + 1
        return f"line {line}: {old[:60]} → {new[:60]}", lambda: (raw[:start] + new.encode() + raw[end:]).decode()

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare):
            start, end = at(node.left)[1], at(node.comparators[0])[0]
            between = raw[start:end].decode()
            word = between.strip(" ()\n")
            if word in _COMPARISONS:
                yield changed(start, end, between.replace(word, _COMPARISONS[word]))
        elif isinstance(node, ast.BoolOp):
            start, end = at(node.values[0])[1], at(node.values[1])[0]
            between = raw[start:end].decode()
            other = between.replace("and", "or") if isinstance(node.op, ast.And) else between.replace("or", "and")
            yield changed(start, end, other)
        elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC and not _is_text(node):
            start, end = at(node.left)[1], at(node.right)[0]
            yield changed(start, end, f" {_ARITHMETIC[type(node.op)]} ")
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield changed(*at(node), str(not node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float) and raw[slice(*at(node))].isascii():
            yield changed(*at(node), repr(node.value * 1.25 if node.value > 4 else node.value + 1))
        elif isinstance(node, ast.If | ast.IfExp | ast.comprehension):
            for test in node.ifs if isinstance(node, ast.comprehension) else [node.test]:
                start, end = at(test)
                yield changed(start, end, f"(not ({raw[start:end].decode()}))")
        elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
            yield changed(*at(node.value), "None")


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr | ast.Constant) and not isinstance(getattr(side, "value", 0), (int, float))
        for side in (node.left, node.right)
    )


def _json(text: str) -> Iterator[Change]:
    whole = json.loads(text)

    def walk(value: Any, way: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
        if isinstance(value, dict | list) and value:
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for name, member in list(members):
                yield from walk(member, (*way, name))
        else:
            yield way, value

    def put(way: tuple[Any, ...], new: Any, renamed: str | None = None) -> str:
        copy = json.loads(text)
        owner = copy
        for step in way[:-1]:
            owner = owner[step]
        if renamed is not None:
            owner[renamed] = owner.pop(way[-1])
        else:
            owner[way[-1]] = new
        return json.dumps(copy, indent=1, ensure_ascii=False) + "\n"

    for way, value in walk(whole, ()):
        name = ".".join(map(str, way))
        new = _other(value)
        yield f"{name}: {str(value)[:50]} → {str(new)[:50]}", lambda way=way, new=new: put(way, new)  # type: ignore[misc]
        swapped = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt"}.get(str(way[-1]) if way else "")
        if swapped:
            yield f"{name} → {swapped}", lambda way=way, swapped=swapped: put(way, None, swapped)  # type: ignore[misc]


def _other(value: Any) -> Any:
    """Another value of the same type: a number a quarter more, a word with one letter or digit changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 1.25 if value else 1
    if isinstance(value, str) and value:
        try:
            return f"{float(value) * 1.25:g}" if float(value) and len(value) < 6 else f"{value}1"
        except ValueError:
            middle = len(value) // 2
            return value[:middle] + ("x" if value[middle] != "x" else "y") + value[middle + 1 :]
    return "x"


def _csv(text: str) -> Iterator[Change]:
    rows = list(csv.reader(io.StringIO(text)))
    picked = random.Random(len(text))

    def written(number: int, column: int | None) -> str:
        copy = [list(row) for row in rows]
        if column is None:
            del copy[number]
        else:
            copy[number][column] = _other(copy[number][column])
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(copy)
        return out.getvalue()

    for number in range(1, len(rows)):
        for column in range(len(rows[number])):
            if rows[number][column]:
                words = f"row {number} ({rows[number][0]}), {rows[0][column]}: {rows[number][column][:40]} → other"
                yield words, lambda number=number, column=column: written(number, column)  # type: ignore[misc]
        if picked.random() < 0.2:
            yield f"row {number} ({rows[number][0]}) left out", lambda number=number: written(number, None)  # type: ignore[misc]


def _template(text: str) -> Iterator[Change]:
    def change(match: re.Match[str], new: str) -> Change:
        line = text.count("\n", 0, match.start()) + 1
        return (
            f"line {line}: {match[0][:60]} → {new[:60]}",
            lambda: text[: match.start()] + new + text[match.end() :],
        )

    for match in re.finditer(r"(\{%-?\s*(?:el)?if )([^%]+?)( -?%\})", text):
        yield change(match, f"{match[1]}not ({match[2]}){match[3]}")
    for match in re.finditer(r" if ([^%}{]+?) else ", text):
        yield change(match, f" if not ({match[1]}) else ")
    for match in re.finditer(r"\{\{ ?([^}]+?) ?\}\}", text):
        yield change(match, "")
    for match in re.finditer(r'(href|action|name|method|value)="([^"]+)"', text):
        yield change(match, f'{match[1]}="x{match[2]}"')
    for match in re.finditer(r"\| ?[a-z_]+(?=[ }|])", text):
        yield change(match, "")


def concerned_tests(path: str, files: list[str], copy: Path) -> list[str]:
    """The tests that concern a file: generic ones, those of its folder, and those that import it."""
    folder, stem = str(Path(path).parent), Path(path).stem
    tests = [name for name in files if Path(name).name.startswith("test_") and name.endswith(".py")]
    chosen = [name for name in _GENERIC if (copy / name).exists()] if not path.endswith(".py") else []
    chosen += [name for name in tests if f"tests/{folder}/test_{stem.lstrip('_')}" in name]
    if path.endswith(".py"):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        package, _, name = module.rpartition(".")
        imports = re.compile(rf"(from {re.escape(module)} import|from {re.escape(package)} import [^\n]*\b{name}\b)")
        chosen += [test for test in tests if imports.search((copy / test).read_text(encoding="utf-8"))]
    for prefix, more in _CONCERNED.items():
        if path.startswith(prefix):
            chosen += more.split()
    while folder and not (copy / "tests" / folder).exists():
        folder = str(Path(folder).parent) if "/" in folder else ""
    return list(dict.fromkeys([*chosen, *([f"tests/{folder}"] if folder else [])]))


def survives(fault: Fault, copy: Path, files: list[str], seconds: float) -> bool:
    """Whether the tests that concern the file pass with the fault; where they take too long it counts as noticed."""
    target = copy / fault.path
    original = target.read_text(encoding="utf-8")
    target.write_text(fault.text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", "--no-header"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("CDS_DATA_DIR", str(ROOT.parent / "shared" / "data"))
    try:
        ran = subprocess.run(
            [*command, *concerned_tests(fault.path, files, copy)],
            cwd=copy,
            env=environment,
            timeout=seconds,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    finally:
        target.write_text(original, encoding="utf-8")
    if ran.returncode not in (0, 1, 2):
        raise SystemExit(f"pytest ended with {ran.returncode}: {ran.stdout.decode()[-500:]}")
    return ran.returncode == 0


def main() -> int:
    """Runs the faults of the chosen kinds and lists the survivors; exit code 1 where there are any."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(_KINDS), help="tables, rules, templates, code, or kind:path")
    parser.add_argument("--share", type=int, default=10, help="faults of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=240, help="at most so long for one fault")
    chosen = parser.parse_args()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    equivalent = (
        {(row["path"], row["fault"]) for row in csv.DictReader(EQUIVALENT.open())} if EQUIVALENT.exists() else set()
    )
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        for name in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        for kind in chosen.kinds:
            chance = random.Random(f"{chosen.seed} {kind}")
            name, _, beginning = kind.partition(":")
            paths = [path for path in files if _KINDS[name](path) and path.startswith(beginning)]
            tried = 0
            while tried < chosen.share:
                path = chance.choice(paths)
                faults = faults_of(path, (ROOT / path).read_text(encoding="utf-8"), chance)
                fault = next((fault for fault in faults if (fault.path, fault.words) not in equivalent), None)
                if fault is None:
                    continue
                tried, started = tried + 1, time.monotonic()
                lives = survives(fault, copy, files, chosen.seconds)
                survivors += lives
                verdict, seconds = "SURVIVES" if lives else "noticed ", time.monotonic() - started
                print(f"{verdict} {kind} {path}: {fault.words} ({seconds:.0f} s)", flush=True)
    print(f"{survivors} survive.")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
