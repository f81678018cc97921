"""Definitions: what they hold of a hierarchy, what is refused, and our own against our lists."""

from collections.abc import Iterable

import pytest

from fhir.terminology.definitions import Definition, WrongDefinition, definition_of_row, holds, own_definitions
from fhir.terminology.importing import snomed_roots
from fhir.terminology.rf2 import Release, Roots, expand
from tests.each import each_row, for_rows

# 1 above 2 and 3; 3 and 5 above 4; 9 is not active.
_RELATIONS = [("2", "1"), ("3", "1"), ("4", "3"), ("4", "5"), ("6", "4"), ("9", "1")]


def _code(digits: str) -> str:
    return f"90000{digits}"


def _release() -> Release:
    release = Release(active={_code(digits) for digits in "1234567"})
    for child, parent in _RELATIONS:
        release.children[_code(parent)].append(_code(child))
    return release


def _held(text: str, excluded: Iterable[str] = ()) -> str:
    """The concepts of the release that a definition of gout holds in the place of our list."""
    written = "".join(_code(sign) if sign.isdigit() else sign for sign in text)
    kinds: dict[str, dict[str, frozenset[str]]] = {"drug": {}, "allergen": {}, "vaccine": {}}
    lists = {"group": {"gout": frozenset([_code("7")])}, **kinds}
    definition = definition_of_row(
        {"kind": "group", "key": "gout", "system": "snomed", "definition": written, "mode": "instead"}
    )
    meanings = expand(_release(), Roots(lists, frozenset(map(_code, excluded)), [definition])).meanings
    return "".join(sorted(code[-1] for code in meanings))


@for_rows(("text", "excluded", "held"))
def test_a_definition_holds_these_concepts(text: str, excluded: str, held: str) -> None:
    """In the place of our list, without what was read and is in none; a root that is named is meant."""
    assert _held(text, excluded) == held


@for_rows("row")
def test_a_row_that_is_no_definition_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(WrongDefinition):
        definition_of_row({"key": "hf", "definition": "84114007"} | row)


@each_row(("system", "text", "held", "not_held"))
def test_codes_of_other_systems_are_held_by_range_subtree_and_parts(
    system: str, text: str, held: list[str], not_held: list[str]
) -> None:
    is_held = holds(Definition("group", "hf", system, text))
    assert [code for code in held if not is_held(code)] == []
    assert [code for code in not_held if is_held(code)] == []


@pytest.mark.slow
def test_each_root_of_our_definitions_is_a_code_of_its_own_list() -> None:
    """The identifiers were chosen by their names among codes that were read for the group: none is from memory."""
    groups, definitions = snomed_roots().by_kind["group"], own_definitions()
    of_groups = [definition for definition in definitions if definition.kind == "group"]
    assert len({definition.key for definition in of_groups}) == len(of_groups) > 310
    for definition in of_groups:
        assert definition.roots <= groups[definition.key], definition.key
        assert definition.without <= set().union(*groups.values()), definition.key
