"""The contract kit alone: its wheel and the packages of requirements/kit.txt are enough to test a server."""

import ast
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.each import for_rows

PACKAGES = {"httpx", "msgspec", "rich", "typer", "jwt", "cryptography", "jsonschema"}
OURS = {"cds_hooks", "cards", "models_onnx", "fhir"}
KIT = ("cds_hooks/tools/kit", "cds_hooks/samples")
MODULES = sorted(path for folder in KIT for path in (ROOT / folder).rglob("*.py"))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module))
    return names


@for_rows("path", MODULES)
def test_a_module_of_the_kit_imports_nothing_of_the_rest(path: Path) -> None:
    for name in _imported(path):
        floor = name.partition(".")[0]
        if floor in OURS:
            assert name.startswith(("cds_hooks.tools.kit.", "cds_hooks.samples")), name
        else:
            assert floor in sys.stdlib_module_names | PACKAGES, name
