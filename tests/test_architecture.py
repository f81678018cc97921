"""The structure that the design draws, checked: floors, contracts, and the two owners of the name `fhir`."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.conftest import ROOT

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
BOTH_OWNERS_OF_FHIR = "import fhir.record, fhir.resources.R4B.patient; print(fhir.record.__file__)"


def _modules() -> list[Path]:
    return sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


def _run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow  # `make test` has run lint-imports itself before it runs the tests
def test_the_import_contracts_of_pyproject_hold() -> None:
    answer = _run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache", folder=ROOT)
    assert answer.returncode == 0, answer.stdout


def test_fhir_holds_only_the_shim_and_subpackages() -> None:
    entries = {path.name for path in (ROOT / "fhir").iterdir()} - {"__pycache__"}
    assert {name for name in entries if not (ROOT / "fhir" / name).is_dir()} == {"__init__.py"}
    assert "resources" not in entries, "the library fhir.resources owns that name"
    for name in entries - {"__init__.py"}:
        assert (ROOT / "fhir" / name / "__init__.py").is_file(), f"fhir/{name} is not a package"


def test_mypy_reads_every_package_of_fhir_because_it_does_not_find_them_by_itself() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    assert {f"fhir.{path.parent.name}" for path in (ROOT / "fhir").glob("*/__init__.py")} <= set(packages)


def test_the_shim_extends_the_path_and_does_nothing_else() -> None:
    docstring, *statements = ast.parse((ROOT / "fhir" / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(statement) for statement in statements] == [
        "from pkgutil import extend_path",
        "__path__ = extend_path(__path__, __name__)",
    ]


def test_ours_and_the_library_import_side_by_side_from_the_root_and_from_an_empty_folder(tmp_path: Path) -> None:
    for folder in (ROOT, tmp_path):
        answer = _run(sys.executable, "-c", BOTH_OWNERS_OF_FHIR, folder=folder)
        assert answer.returncode == 0, f"from {folder}: {answer.stderr}"
        assert Path(answer.stdout.strip()) == ROOT / "fhir" / "record" / "__init__.py"


def test_no_module_imports_a_family_of_rules_because_they_are_found() -> None:
    """So that families know nothing of each other, and a new one is a file and its table and nothing else."""
    families = {
        f"cards.rules.families.{path.parent.name}.family"
        for path in (ROOT / "cards" / "rules" / "families").glob("*/family.py")
    }
    assert families
    importing = {
        str(path.relative_to(ROOT)): found
        for path in _modules()
        if "families" in path.read_text(encoding="utf-8") and (found := sorted(families & _imported(path)))
    }
    assert importing == {}


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_module_opens_with_a_docstring() -> None:
    """Ruff checks its first line (rules D), but not in modules whose name begins with an underscore."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in _modules()}
    assert [name for name, text in texts.items() if not text.startswith(('"""', 'r"""'))] == []


def test_a_structure_that_may_change_says_so_by_leaving_frozen_out() -> None:
    assert [
        str(path.relative_to(ROOT)) for path in _modules() if "frozen=False" in path.read_text(encoding="utf-8")
    ] == []


def test_the_files_that_the_code_names_are_there() -> None:
    """Of each file that a comment, docstring or sentence names, there is one whose path ends so."""
    made_up = {"NAME.py", "mine/falls_1y.py", "_fit.py"}  # files of a reader's own, in examples
    files = (*_modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "maintenance").glob("*.py"), ROOT / "setup.py")
    there = "".join(f"/{path.relative_to(ROOT).as_posix()}\n" for path in files)
    named = {
        (path.relative_to(ROOT).as_posix(), file)
        for path in _modules()
        for file in re.findall(r"(?<![\w/.{*<-])(?:[\w-]+/)*[\w-]+\.py\b", path.read_text(encoding="utf-8"))
    }
    assert sorted(each for each in named if each[1] not in made_up and f"/{each[1]}\n" not in there) == []


@pytest.mark.slow
def test_starting_the_command_line_and_the_server_loads_no_training_library(tmp_path: Path) -> None:
    program = (
        "import sys, cds_hooks.cli, cds_hooks.app\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'sklearn', 'skl2onnx', 'onnx', 'pandas', 'scipy'}))"
    )
    answer = _run(sys.executable, "-c", program, folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions and for types alone count, too: an arrow that goes both ways needs explaining."""
    graph = grimp.build_graph("cds_hooks", "cards", "models_onnx", "fhir", cache_dir=None)
    arrows = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(arrows).prepare()  # CycleError names the circle


@pytest.mark.parametrize("floor", ["cds_hooks", "cards", "models_onnx"])
def test_a_folder_with_modules_or_templates_is_a_package(floor: str) -> None:
    """A page or a family whose folder has no `__init__.py` would be found by nobody and missed by nobody."""
    folders = {path.parent for ending in ("*.py", "*.html") for path in (ROOT / floor).rglob(ending)}
    without = {
        str(folder.relative_to(ROOT))
        for folder in folders
        # templates and static files of the pages, and the documentation that `make run` writes
        if not (folder / "__init__.py").is_file() and {"templates", "static", "docs"}.isdisjoint(folder.parts)
    }
    assert without == set()
