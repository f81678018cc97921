"""The structure that the design draws, checked: floors, contracts, and the two owners of the name `fhir`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

BOTH_OWNERS_OF_FHIR = "import fhir.record, fhir.resources.R4B.patient; print(fhir.record.__file__)"


def _run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)


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


def test_the_shim_extends_the_path_and_does_nothing_else() -> None:
    docstring, *statements = ast.parse((ROOT / "fhir" / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(statement) for statement in statements] == [
        "from pkgutil import extend_path",
        "__path__ = extend_path(__path__, __name__)",
    ]


@pytest.mark.slow
def test_ours_and_the_library_import_side_by_side_from_the_root_and_from_an_empty_folder(tmp_path: Path) -> None:
    for folder in (ROOT, tmp_path):
        answer = _run(sys.executable, "-c", BOTH_OWNERS_OF_FHIR, folder=folder)
        assert answer.returncode == 0, f"from {folder}: {answer.stderr}"
        assert Path(answer.stdout.strip()) == ROOT / "fhir" / "record" / "__init__.py"


@pytest.mark.slow
def test_starting_the_command_line_and_the_server_loads_no_training_library(tmp_path: Path) -> None:
    program = (
        "import sys, cds_hooks.cli, cds_hooks.server.app\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'sklearn', 'skl2onnx', 'onnx', 'pandas', 'scipy'}))"
    )
    answer = _run(sys.executable, "-c", program, folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == []
