"""`make mutants`: puts small seeded faults into code, rules, tables and templates, and lists those no test notices.

Each fault is put into a copy of the committed files. mypy reads it there, as `make test` does, and only the tests that
concern the file run (not the slow ones).
Survivors are either mended by a test or listed in benchmarks/equivalent.csv with the reason why nothing changes.

    python -m benchmarks.mutants --share 12 --seed 7 tables rules templates code
    python -m benchmarks.mutants --share 3 code:cards/preventive
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
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults import Fault, faults_of

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
_QUICK = {
    r".*\.csv$|cards/(vaccines|preventive)/.*\.json$": "tests/tables/test_every_table.py",
    r"cards/rules/families/.*\.json$": "tests/cards/rules/test_pinned.py tests/cards/rules/test_sweeps.py "
    "tests/cards/rules/engine/test_page.py tests/cards/rules/engine/test_lint.py",
    r".*\.(html|md)$": "tests/cds_hooks/web/test_templates.py",
    r"cds_hooks/events/v2/": "tests/cds_hooks/events/test_pinned_messages.py",
    r"cds_hooks/events/watch/": "tests/cds_hooks/events/test_watched.py",
    r"cds_hooks/pages/": "tests/cds_hooks/pages/test_pinned_pages.py",
}
_CONCERNED = {
    "cards/rules/families": "tests/cards/rules tests/cards/compose",
    "cds_hooks/pages": "tests/cds_hooks/pages tests/cds_hooks/web",
    "cds_hooks/web": "tests/cds_hooks/web tests/cds_hooks/pages",
    "models_onnx/templates": "tests/models_onnx/model_card",
    "models_onnx/workbench/gates": "tests/models_onnx/workbench/gates",
    "cards/coverage": "tests/cds_hooks/services/test_coverage_neighbours.py "
    "tests/cds_hooks/services/test_payer_requirements.py",
    "models_onnx/workbench/compiler": "tests/models_onnx/workbench/compiler",
    "fhir": "tests/fhir/test_readings.py tests/cards/test_drawn.py tests/cards/rules/test_cases.py "
    "tests/cards/rules/test_drafted.py",
    "fhir/mapping": "tests/fhir/mapping",
    "cards/rules": "tests/cards/rules tests/cards/test_drawn.py",
    "cards/vaccines": "tests/cards/test_drawn.py",
    "cards/preventive": "tests/cards/test_drawn.py",
}


def concerned_tests(path: str, files: list[str], copy: Path) -> tuple[list[str], list[str]]:
    """Return the tests that concern a file: those that are quick and notice most, then those of its folder."""
    folder, stem = str(Path(path).parent), Path(path).stem
    tests = [name for name in files if Path(name).name.startswith("test_") and name.endswith(".py")]
    quick = next((names.split() for pattern, names in _QUICK.items() if re.match(pattern, path)), [])
    quick = [name for name in quick if (copy / name).exists()]
    quick += [name for name in tests if f"tests/{folder}/test_{stem.lstrip('_')}" in name]
    others = []
    if path.endswith(".py"):
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        package, _, name = module.rpartition(".")
        imports = re.compile(rf"(from {re.escape(module)} import|from {re.escape(package)} import [^\n]*\b{name}\b)")
        others += [test for test in tests if imports.search((copy / test).read_text(encoding="utf-8"))]
    for prefix, more in _CONCERNED.items():
        if path.startswith(prefix):
            others += more.split()
    while folder and not (copy / "tests" / folder).exists():
        folder = str(Path(folder).parent) if "/" in folder else ""
    others += [f"tests/{folder}"] if folder else []
    return list(dict.fromkeys(quick)), list(dict.fromkeys(others))


def survives(fault: Fault, copy: Path, files: list[str], seconds: float) -> bool:
    """Whether the tests that concern the file pass with the fault; where they take too long it counts as noticed."""
    target = copy / fault.path
    original = target.read_text(encoding="utf-8")
    target.write_text(fault.text, encoding="utf-8")
    try:
        quick, others = concerned_tests(fault.path, files, copy)
        return _pass(quick, copy, seconds) and _has_types(fault.path, copy) and _pass(others, copy, seconds)
    finally:
        target.write_text(original, encoding="utf-8")


def _has_types(path: str, copy: Path) -> bool:
    """Whether mypy finds nothing in the file; the cache of the project makes it a matter of seconds."""
    if not path.endswith(".py"):
        return True
    return subprocess.run([sys.executable, "-m", "mypy"], cwd=copy, capture_output=True, check=False).returncode == 0


def _pass(tests: list[str], copy: Path, seconds: float) -> bool:
    if not tests:
        return True
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", "--no-header"]
    environment = {"CDS_DATA_DIR": str(ROOT.parent / "shared" / "data"), **os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ran = subprocess.run(
            [*command, *tests], cwd=copy, env=environment, timeout=seconds, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if ran.returncode not in (0, 1, 2, 5):
        raise SystemExit(f"pytest ended with {ran.returncode}: {ran.stdout.decode()[-500:]}")
    return ran.returncode in (0, 5)


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
        if (ROOT / ".mypy_cache").exists():
            shutil.copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")
        for kind in chosen.kinds:
            chance = random.Random(f"{chosen.seed} {kind}")
            name, _, beginning = kind.partition(":")
            paths = [path for path in files if _KINDS[name](path) and path.startswith(beginning)]
            tried = 0
            while tried < chosen.share:
                path = chance.choice(paths)
                faults = faults_of(path, (copy / path).read_text(encoding="utf-8"), chance)
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
