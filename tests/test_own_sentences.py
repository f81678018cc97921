"""Nothing is decided by the words of our own sentences: what is decided by is data, and a sentence is only shown."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
_TAKING_APART = frozenset(
    ("startswith", "endswith", "removeprefix", "removesuffix", "replace", "partition", "rpartition", "split", "find")
)
_PHRASE = re.compile(r"[A-Za-z]{2,}[^A-Za-z]* +[^A-Za-z]*[A-Za-z]{2,}")

OTHERS_WORDS = {
    "fhir/mapping/genomics": "words of reports about genes",
    "fhir/mapping/medications/sig.py": "words of prescriptions",
    "fhir/record/record.py": "what msgspec says",
    "cds_hooks/protocol/body.py": "what msgspec says",
    "cds_hooks/services/_service_file.py": "what msgspec says",
    "cds_hooks/cli.py": "what pydantic and Python say",
    "cds_hooks/commands/rules/check.py": "the words in which case files say what must not be found",
    "cds_hooks/replay/stages.py": "the record has no other sign of whose silent mode it was",
    "cards/compose/vaccines.py": "CDC's names of vaccines",
    "cards/vaccines": "CDC's words in its tables",
    "cards/rules/families/genes": "CPIC's words in its tables",
    "models_onnx/workbench/compiler/readers/trees.py": "LightGBM's text file",
}
"""Where the words of somebody else are taken apart, who wrote them."""


def _phrases_of(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    if isinstance(node, ast.Name) and node.id in constants:
        node = constants[node.id]
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _PHRASE.search(part.value):
            yield part.value


def decided_by_words(source: str) -> list[str]:
    """The phrases of two words or more that the code takes texts apart by, or looks for in them."""
    tree = ast.parse(source)
    constants = {
        target.id: each.value
        for each in tree.body
        if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
        if isinstance(target, ast.Name)
    }
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _TAKING_APART:
            for argument in node.args[:1]:
                found += _phrases_of(argument, constants)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            is_text = not isinstance(node.comparators[0], ast.Tuple | ast.Set | ast.List | ast.Dict)
            found += _phrases_of(node.left, constants) if is_text else ()
    return found


def test_the_search_finds_each_way_of_asking_a_sentence() -> None:
    source = (
        'BEGIN = "No value in"\n'
        'text.startswith("not recorded in"); text.startswith(BEGIN); text.endswith((".", "was found"))\n'
        'text.replace("of the chart", ""); "is too old" in text; "one day" in ("one day", "two days")\n'
    )
    assert sorted(decided_by_words(source)) == [
        "No value in", "is too old", "not recorded in", "of the chart", "was found",
    ]  # fmt: skip


def test_nothing_is_decided_by_the_words_of_our_own_sentences() -> None:
    found, used = {}, set[str]()
    for path in (path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))):
        if phrases := decided_by_words(path.read_text(encoding="utf-8")):
            file = path.relative_to(ROOT).as_posix()
            theirs = next((place for place in OTHERS_WORDS if Path(file).is_relative_to(place)), None)
            if theirs is None:
                found[file] = phrases
            else:
                used.add(theirs)
    assert found == {}, "what is decided here has to be handed on as data"
    assert used == set(OTHERS_WORDS), "these places take no words apart any more"
