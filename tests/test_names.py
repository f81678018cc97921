"""Names say what they hold: no variable, parameter or function is called `each`, `one`, `found` and the like.

The exceptions are names that documents and records hold.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

STOP_LIST = frozenset(
    {"each", "one", "found", "said", "known", "own", "place", "thing", "told", "named", "asked", "taken"}
)
FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir", "benchmarks")
NAMES_IN_DOCUMENTS = {
    "cds_hooks/routes/feedback.py": {"known"},  # a member of the answer to reports of outcomes
    "cds_hooks/security/trust_setup.py": {"said"},  # a member that `trust check --json` prints
    "cards/rules/engine/governance.py": {"place"},  # a member of the record of decisions
    "models_onnx/equations/published/meld3.py": {"each"},  # records hold the digest of this file
}


def _bound_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _stop_list_names(file: Path) -> set[str]:
    return {name for name in _bound_names(file) if name.strip("_") in STOP_LIST}


def test_every_name_says_what_it_holds() -> None:
    files = (file for floor in FLOORS for file in sorted((ROOT / floor).rglob("*.py")))
    names = {str(file.relative_to(ROOT)): stop_names for file in files if (stop_names := _stop_list_names(file))}
    assert names == NAMES_IN_DOCUMENTS, "name what they hold (docs/architecture.md, Glossary)"


def test_the_glossary_has_each_term_once_and_in_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1].strip() for line in page.partition("## Glossary")[2].splitlines() if line.startswith("| ")
    ]
    terms = rows[1:]
    assert len(terms) >= 60
    assert terms == sorted(set(terms))
