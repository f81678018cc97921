"""Definitions: what an expression holds of a hierarchy, what is refused, and our own against our lists."""

from collections.abc import Iterable

import pytest

from fhir.terminology.definitions import (
    Definition,
    WrongDefinition,
    concepts_of,
    holds,
    roots_of,
)
from fhir.terminology.rf2 import Release
from tests.each import for_rows

# 1 above 2 and 3; 3 and 5 above 4; 9 is not active.
_RELATIONS = [("2", "1"), ("3", "1"), ("4", "3"), ("4", "5"), ("6", "4"), ("9", "1")]


def _code(digits: str) -> str:
    return f"90000{digits}"


def _release() -> Release:
    release = Release(active={_code(digits) for digits in "1234567"}, wanted=frozenset([_code("8")]))
    for child, parent in _RELATIONS:
        release.children[_code(parent)].append(_code(child))
    release.attributes[_code("8")] = [(_code("4"), _code("7")), (_code("2"), _code("1"))]
    release.reference_sets[_code("8")] = {_code("2"), _code("9")}
    return release


def _held(expression: str, excluded: Iterable[str] = ()) -> str:
    written = "".join(_code(sign) if sign.isdigit() else sign for sign in expression)
    return "".join(sorted(code[-1] for code in concepts_of(written, _release(), frozenset(map(_code, excluded)))))


@for_rows(
    ("expression", "held"),
    [
        ("<< 1", "12346"),
        ("< 1", "2346"),
        ("1", "1"),
        ("1 |Name: of (it)|", "1"),
        ("<< 2 OR << 5", "2456"),
        ("<< 1 MINUS << 3", "12"),
        ("<< 1 MINUS (<< 2 OR << 4)", "13"),
        ("<< 1 AND << 5", "46"),
        ("<< 1 MINUS << 3 OR 4", "124"),
        ("^ 8", "2"),
        ("<< 1 : 8 = 7", "4"),
        ("<< 1 : 8 = << 1", "2"),
        ("<< 9", ""),
    ],
)
def test_an_expression_holds_these_concepts(expression: str, held: str) -> None:
    assert _held(expression) == held


@for_rows(
    "expression",
    ["", "<<", "<< 84114007 OR", "(<< 84114007", "(<< 84114007 =", "<< 84114007)", "heart failure",
     "<< 84114007 : 5 = 6", "(<< 84114007 = 84114007", "<< = 84114007", "OR 84114007", "* : << 363698007 = 84114007",
     "* : 363698007 : 84114007", "* : 363698007 84114007", "* : * = 84114007", "^ *"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(WrongDefinition):
        roots_of(expression)


@pytest.mark.parametrize(
    ("system", "text", "held", "not_held"),
    [
        ("icd10", "I50;N17-N19;C18.0-C18.4", ["I50", "I501", "N17", "N189", "C184"], ["I5", "N20", "C189", "I11"]),
        ("atc", "J01CA;J01CF05", ["J01CA04", "J01CF05"], ["J01CE02", "J01CF"]),
        ("loinc", "Potassium:*:Pt:Ser/Plas:Qn", ["Potassium:SCnc:Pt:Ser/Plas:Qn"], ["Potassium:SCnc:Pt:Urine:Qn"]),
    ],
)
def test_codes_of_other_systems_are_held_by_range_subtree_and_parts(
    system: str, text: str, held: list[str], not_held: list[str]
) -> None:
    is_held = holds(Definition("group", "hf", system, text))
    assert [code for code in held if not is_held(code)] == []
    assert [code for code in not_held if is_held(code)] == []
