"""The kit judges our own server too, so it shares no code with it: only the sample patients and the module finder."""

import ast
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {"httpx", "msgspec", "jsonschema", "rich"}
OURS = {"cds_hooks", "cards", "models_onnx", "fhir"}
SHARED = {"cds_hooks.kit.samples", "models_onnx.discovery"}
MODULES = sorted((ROOT / "cds_hooks" / "kit" / "contract").rglob("*.py"))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_of_the_kit_imports_nothing_of_ours_that_judges(path: Path) -> None:
    for name in _imported(path):
        floor = name.partition(".")[0]
        if floor in OURS:
            assert name.startswith("cds_hooks.kit.contract") or name in SHARED, name
        else:
            assert floor in sys.stdlib_module_names | ALLOWED, name


def test_the_samples_bring_nothing_of_the_server_with_them() -> None:
    for path in (ROOT / "cds_hooks" / "kit" / "samples").rglob("*.py"):
        ours = {name for name in _imported(path) if name.partition(".")[0] in OURS}
        assert all(name.startswith("cds_hooks.kit.samples") for name in ours), path


def test_only_its_own_command_and_the_testers_page_import_the_kit() -> None:
    others = [
        path
        for floor in OURS
        for path in (ROOT / floor).rglob("*.py")
        if path not in MODULES and any(name.startswith("cds_hooks.kit.contract") for name in _imported(path))
    ]
    ours = ROOT / "cds_hooks"
    assert set(others) == {ours / "commands" / "check.py", ours / "tester" / "exchange.py"}
