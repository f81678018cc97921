"""`make mutants`: puts small seeded faults into code, rules, tables and templates, and lists those no test notices.

Each fault is put into a copy of the committed files. For code the tests near the module are asked, where these are few
also those near what imports it, then the whole answers that were accepted, the folder, the slow tests near the module
(with what `make slow-environment` installs), the lists of confirmed numbers and flags, and mypy; for the others the
tests that concern the file. A fault is noticed by behaviour, by a list ("this number changed") or by types. One with
which the file cannot be imported, or whose tests do not end in time, says nothing about the tests and counts on neither
side. Survivors are either mended by a test or listed in benchmarks/equivalent.csv with the reason why nothing changes.

    python -m benchmarks.mutants --share 12 --seed 7 tables rules templates code
    python -m benchmarks.mutants --within 200 --share 20 --seed "$(git rev-parse HEAD)" code    # as .ci/run does
"""

import argparse
import csv
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import cache
from pathlib import Path

from benchmarks.faults import Fault, faults_of

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent.csv")
_KINDS = {
    "tables": r"(fhir|cards|models_onnx|cds_hooks)/.*\.csv$|cards/(vacc|prev).*\.json$",
    "rules": r"cards/rules/families/.*\.json$",
    "templates": r"(cds_hooks/(pages|web)|models_onnx)/.*\.(html|md)$",
    "code": r"(fhir|cards|models_onnx|cds_hooks)/.*\.py$",
}
_LEDGER = "tests/tables/test_every_table.py"
"""Holds each row of a table against one that was confirmed: a list, and not behaviour."""
_CONCERNED = {
    r".*\.csv$|cards/(vaccines|preventive)/.*\.json$": _LEDGER,
    r"cards/rules/families/.*\.json$": "tests/cards/rules/test_pinned.py tests/cards/rules/test_sweeps.py "
    "tests/cards/rules/engine/test_page.py tests/cards/rules/engine/test_lint.py "
    "tests/cards/rules/test_override_reasons.py",
    r".*\.(html|md)$": "tests/cds_hooks/web/test_numbers.py tests/cds_hooks/pages/test_pinned_pages.py",
}
"""The tests that notice most in what is no code, and are quick."""
_SEALS = (
    "tests/test_numbers.py",
    "tests/test_type_flags.py",
    "tests/test_written_defaults.py",
    "tests/cds_hooks/commands/test_options.py",
)
"""What holds numbers, flags and options of modules against a list that was confirmed; asked when no other notices."""
_AT_ONCE = 2
_ANSWERS = "tests/test_pinned_answers.py"
_FEW = 3
_FIRST = 20
"""So many files near a module are asked first, its own before others; then as many near its importers if few are."""


class Verdict(StrEnum):
    """What became of a fault."""

    BEHAVIOUR = "noticed by behaviour"
    SEAL = "noticed by a list"
    TYPES = "noticed by types"
    SURVIVES = "SURVIVES"
    NO_IMPORT = "not counted: cannot be imported"
    TIME_OUT = "not counted: takes too long"


NOTICED = (Verdict.BEHAVIOUR, Verdict.SEAL, Verdict.TYPES)


def asked_tests(fault: Fault, files: list[str], copy: Path, *, is_apart: bool = False) -> Iterator[list[str]]:
    """Yield the tests that concern a fault in groups: those that are likely to notice it first.

    `is_apart` asks of a table first what it does, then its list.
    """
    folder = Path("tests", fault.path).parent
    while not (copy / folder).exists():
        folder = folder.parent
    if fault.path.endswith(".py"):
        tests = [name for name in files if re.search(r"/test_[^/]*\.py$", name)]
        near = near_tests(fault.path, tests, copy)
        yield (first := near[:_FIRST])
        if len(near) < _FEW:
            importers = [name for name in files if re.match(_KINDS["code"], name) and _imports(name, fault.path, copy)]
            of_importers = (test for name in importers for test in near_tests(name, tests, copy) if test not in near)
            yield list(dict.fromkeys(of_importers))[:_FIRST]
        yield [_ANSWERS]
        if len(folder.parts) <= 2:  # a whole floor: only what lies in its folder itself
            yield [test for test in tests if Path(test).parent == folder and test not in first]
        else:
            yield [folder.as_posix(), *(f"--ignore={test}" for test in first if Path(test).is_relative_to(folder))]
        if rest := [test for test in near[_FIRST:] if not Path(test).is_relative_to(folder)]:
            yield rest
        return
    concerned = (names.split() for pattern, names in _CONCERNED.items() if re.match(pattern, fault.path))
    quick = [name for name in next(concerned, []) if (copy / name).exists()]
    if is_apart and quick == [_LEDGER]:
        yield [folder.as_posix()]
        yield [_ANSWERS]
    yield quick
    yield [folder.as_posix()]
    if len(folder.parts) > 3:  # a page whose templates lie in a folder is asked in the tests of the folder above, too
        yield [folder.parent.as_posix()]


def near_tests(path: str, tests: list[str], copy: Path) -> list[str]:
    """Return the test files that mirror a module or import it: its own first, then those of its folder."""
    folder = f"tests/{Path(path).parent}/"
    mirrored = f"{folder}test_{Path(path).stem.lstrip('_')}"
    near = [test for test in tests if test.startswith(mirrored) or _imports(test, path, copy)]
    return sorted(near, key=lambda test: (not test.startswith(mirrored), not test.startswith(folder)))


def _imports(file: str, path: str, copy: Path) -> bool:
    """Whether a file imports from a module."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    package, _, name = module.rpartition(".")
    pattern = rf"from {re.escape(module)} import|from {re.escape(package)} import (\([^)]*|[^\n]*)\b{name}\b"
    return re.search(pattern, _text(copy / file)) is not None


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def judge(fault: Fault, copy: Path, files: list[str], seconds: float, *, is_apart: bool = False) -> Verdict:
    """Put the fault into the copy, ask the tests that concern it, and take it out again."""
    target = copy / fault.path
    original = target.read_text(encoding="utf-8")
    target.write_text(fault.text, encoding="utf-8")
    try:
        for tests in asked_tests(fault, files, copy, is_apart=is_apart):
            verdict = _run(tests, copy, seconds)
            if verdict is not Verdict.SURVIVES:
                return Verdict.SEAL if tests == [_LEDGER] else verdict
        if not fault.path.endswith(".py"):
            return Verdict.SURVIVES
        if _run(next(asked_tests(fault, files, copy)), copy, seconds, tier="slow") is Verdict.BEHAVIOUR:
            return Verdict.BEHAVIOUR
        if _run([name for name in _SEALS if (copy / name).exists()], copy, seconds) is Verdict.BEHAVIOUR:
            return Verdict.SEAL
        return Verdict.SURVIVES if _has_types(copy) else Verdict.TYPES
    finally:
        target.write_text(original, encoding="utf-8")


def _has_types(copy: Path) -> bool:
    """Whether mypy finds nothing; the cache of the project makes it a matter of seconds."""
    return subprocess.run([sys.executable, "-m", "mypy"], cwd=copy, capture_output=True, check=False).returncode == 0


def _run(tests: list[str], copy: Path, seconds: float, *, tier: str = "not slow") -> Verdict:
    if not tests:
        return Verdict.SURVIVES
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", tier, "--no-header"]
    environment = {"CDS_DATA_DIR": str(ROOT.parent / "shared" / "data"), **os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            [*command, *tests], cwd=copy, env=environment, timeout=seconds, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return Verdict.TIME_OUT
    # What ends pytest before it has read a test (a conftest that cannot be imported) stands in its stderr.
    return verdict_of(ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace"))


def verdict_of(exit_code: int, printed: str) -> Verdict:
    """Return what the end of pytest says; SystemExit where pytest itself failed, and nothing was found out."""
    if exit_code in (0, 5):
        return Verdict.SURVIVES
    if exit_code == 1:
        return Verdict.BEHAVIOUR
    if exit_code in (2, 4) and re.search(r"error.* during collection|ImportError while loading conftest", printed):
        return Verdict.NO_IMPORT
    raise SystemExit(f"pytest ended with {exit_code}: {printed[-500:]}")


def drawn_faults(kind: str, files: list[str], seed: str, share: int) -> list[Fault]:
    """Return so many faults of a kind, the same for the same seed: files by their size in code, else each alike."""
    chance = random.Random(f"{seed} {kind}")
    name, _, beginning = kind.partition(":")
    paths = [path for path in files if re.match(_KINDS[name], path) and path.startswith(beginning)]
    sizes = [(ROOT / path).stat().st_size if name == "code" else 1 for path in paths]
    equivalent = {(row["path"], row["source"], row["fault"]) for row in csv.DictReader(EQUIVALENT.open())}
    drawn: dict[tuple[str, str, int], Fault] = {}
    for _ in range(share * 20):
        (path,) = chance.choices(paths, sizes)
        text = (ROOT / path).read_text(encoding="utf-8")
        fault = next(faults_of(path, text, chance), None)
        if len(drawn) < share and fault and (path, source_of(fault, text), fault.words) not in equivalent:
            drawn.setdefault((path, fault.words, fault.line), fault)
    return list(drawn.values())


def source_of(fault: Fault, text: str) -> str:
    """Return the line of code or of a template that the fault changes, without its indentation."""
    return text.splitlines()[fault.line - 1].strip() if fault.line else ""


def main() -> int:
    """Run the faults of the chosen kinds and lists the survivors; exit code 1 with more than are allowed."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(_KINDS), help="tables, rules, templates, code, or kind:path")
    parser.add_argument("--share", type=int, default=10, help="faults of each kind")
    parser.add_argument("--seed", default="1", help="a number, or any text such as the name of a commit")
    parser.add_argument(
        "--apart", action="store_true", help="ask of a table first what it does, then its list (slower)"
    )
    parser.add_argument("--most", type=int, default=0, help="so many survivors are no failure")
    parser.add_argument("--seconds", type=float, default=240, help="at most so long for one group of tests")
    parser.add_argument("--within", type=float, default=1e9, help="no fault is begun after so many seconds")
    chosen = parser.parse_args()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    faults = [(kind, fault) for kind in chosen.kinds for fault in drawn_faults(kind, files, chosen.seed, chosen.share)]
    verdicts: dict[str, Counter[Verdict]] = defaultdict(Counter)
    last = time.monotonic() + chosen.within

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as pool:

        def run(number: int) -> None:
            copy = _copied(files, Path(folder) / str(number) / "project")
            is_of_code = any(kind.startswith("code") for kind in chosen.kinds)
            if is_of_code and _run([_ANSWERS], copy, chosen.seconds) is Verdict.BEHAVIOUR:
                raise SystemExit(f"{_ANSWERS} fails without a fault, so every fault would count as noticed by it.")
            for kind, fault in faults[number::_AT_ONCE]:
                if (started := time.monotonic()) > last:
                    return
                verdict = judge(fault, copy, files, chosen.seconds, is_apart=chosen.apart)
                verdicts[kind][verdict] += 1
                where = f"{fault.path}, line {fault.line}" if fault.line else fault.path
                print(f"{verdict} {kind} {where}: {fault.words} ({time.monotonic() - started:.0f} s)", flush=True)

        list(pool.map(run, range(_AT_ONCE)))
    for kind, counts in verdicts.items():
        print(summary(kind, counts))
    survivors = sum(counts[Verdict.SURVIVES] for counts in verdicts.values())
    print(f"{survivors} survive.")
    return 1 if survivors > chosen.most else 0


def summary(kind: str, counts: Counter[Verdict]) -> str:
    """One line: the share that was noticed of the faults that count, and how many had which verdict."""
    noticed = sum(counts[verdict] for verdict in NOTICED)
    counted = noticed + counts[Verdict.SURVIVES]
    share = f"{noticed / counted:.1%}" if counted else "none counts"
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    return f"{kind}: {noticed} of {counted} noticed ({share}): {verdicts}"


def _copied(files: list[str], copy: Path) -> Path:
    for name in files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    # What Python compiled of the originals holds for copies with their times; to compile it again takes a run seconds.
    for compiled in {Path(name).parent / "__pycache__" for name in files}:
        if (ROOT / compiled).exists():
            shutil.copytree(ROOT / compiled, copy / compiled, ignore=shutil.ignore_patterns("*.pyc.*"))
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")
    return copy


if __name__ == "__main__":
    raise SystemExit(main())
