"""The contract kit alone: its wheel and the packages of requirements/kit.txt are enough to test a server."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.live import serving
from tests.test_packaging import _locked, _wanted
from tests.test_wheel import _link, _ours, built_by_ci

PROJECT = tomllib.loads((ROOT / "kit" / "pyproject.toml").read_text())["project"]
MOST_MEGABYTES = 64


def test_the_lock_is_made_from_what_the_kit_depends_on() -> None:
    declared = {str(Requirement(text)) for text in PROJECT["dependencies"]}
    assert {str(item) for item in _wanted("kit.in")} == declared


def test_the_kit_has_the_version_of_the_server() -> None:
    assert PROJECT["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's wheel, built from a copy of the sources."""
    if (before := built_by_ci("kit")) is not None:
        return before
    folder = tmp_path_factory.mktemp("wheel")
    for name in _ours():
        if name.startswith(("cds_hooks/", "kit/")):
            target = folder / "sources" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), "sources/kit"]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the kit's wheel and the packages of its lock, as links, and no others."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = (environment / "lib").glob("python3*/site-packages")
    for name in _locked("kit.txt"):
        _link(name, packages)
    command = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*command, "--no-index", "--no-deps", "--no-compile", str(wheel)], check=True)
    return environment


@pytest.mark.slow
def test_the_wheel_holds_the_kit_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == {name for name in _ours() if name.startswith("cds_hooks/kit/")}


@pytest.mark.slow
def test_the_kit_alone_tests_a_running_server(installed: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CDS_", "PYTHON"))}
    program = str(installed / "bin" / "cds-hooks")
    with serving(tmp_path) as address:
        words = [program, "check", address, "--quick", "--only", "DISC,CARD", "--json"]
        check = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120)
        words = [program, "call", "sample:planning-talk", "--url", address, "--json"]
        call = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=120)
    assert check.returncode == 0, check.stderr
    assert json.loads(check.stdout)["coverage"]["held"] > 20
    assert call.returncode == 0, call.stderr
    missing = "import importlib.util as u; assert not [n for n in ('fastapi', 'onnxruntime', 'numpy', 'sqlalchemy', "
    missing += "'cards', 'cds_hooks.app') if u.find_spec(n)]"
    subprocess.run([str(installed / "bin" / "python"), "-c", missing], cwd=tmp_path, env=clean, check=True)


@pytest.mark.slow
def test_the_kit_alone_is_small(installed: Path) -> None:
    (packages,) = (installed / "lib").glob("python3*/site-packages")
    files = {Path(folder) / name for folder, _, names in os.walk(packages, followlinks=True) for name in names}
    megabytes = sum(file.stat().st_size for file in files) / 1_000_000
    assert megabytes < MOST_MEGABYTES


PACKAGES = {"httpx", "msgspec", "rich", "typer", "jwt", "cryptography"}
OURS = {"cds_hooks", "cards", "models_onnx", "fhir"}
KIT = ROOT / "cds_hooks" / "kit"
MODULES = sorted(KIT.rglob("*.py"))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(KIT)))
def test_a_module_of_the_kit_imports_nothing_of_the_rest(path: Path) -> None:
    for name in _imported(path):
        floor = name.partition(".")[0]
        if floor in OURS:
            assert name.startswith("cds_hooks.kit."), name
        else:
            assert floor in sys.stdlib_module_names | PACKAGES, name


@pytest.mark.slow
def test_nothing_of_the_rest_imports_the_checks() -> None:
    importers = {
        str(path.relative_to(ROOT))
        for floor in OURS
        for path in (ROOT / floor).rglob("*.py")
        if path not in MODULES and any(name.startswith("cds_hooks.kit.contract") for name in _imported(path))
    }
    assert importers == set()
