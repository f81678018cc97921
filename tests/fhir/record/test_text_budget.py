"""The long texts of one call have a budget: the most important first, and what is over it is told of as not read."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from fhir.mapping.allergies import allergies, unread_allergies
from fhir.record.datatypes import LONGEST_TEXT, LeanResource
from fhir.record.lean_chart import encode_chart
from fhir.record.record import read_record, read_resources, read_value
from fhir.record.text_budget import (
    CHARACTERS_OF_A_CALL,
    CHARACTERS_OF_DIRECTIONS,
    LONGEST_SHORT,
    NOT_READ,
    REMEMBERED,
    long_characters,
    long_texts_in,
    within_text_budget,
)
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import medication_order
from tests.fhir.drawn import AS_OF

SUBJECT = {"reference": "Patient/p"}
LOOKED_UP = ("reference", "system", "id", "url")
"""No prose: these are looked up as they are."""
TYPES: dict[str, Any] = {
    str(kind.__struct_config__.tag): kind
    for kind in LeanResource.__subclasses__()
    if kind.__struct_config__.tag not in (None, "Bundle", "OtherResource", "LeanResource")
}


def _allergies(count: int, text: str) -> list[dict[str, Any]]:
    return [builders.allergy(text, status=None, patient="p", id=f"a{number}") for number in range(count)]


def _reports(count: int, text: str) -> list[dict[str, Any]]:
    head = {"resourceType": "DiagnosticReport", "status": "final", "subject": SUBJECT}
    return [{**head, "id": f"r{number}", "conclusion": text} for number in range(count)]


def _bundle(resources: list[dict[str, Any]]) -> Any:
    bundle = builders.bundle(*resources)
    value, refusals = read_value("chart", msgspec.json.encode(bundle))
    assert not refusals
    return value


def _texts(bundle: Any) -> list[str]:
    return [entry.resource.code.text for entry in bundle.entry]


def test_a_chart_of_names_and_some_prose_is_read_as_it_came() -> None:
    values = {
        "allergies": _bundle(_allergies(1000, "n" * LONGEST_SHORT)),
        "reports": _bundle(_reports(CHARACTERS_OF_A_CALL // 400, "r" * 400)),
        "labs": None,
    }
    assert within_text_budget(values) == (values, [])


@for_rows("sign", ["n", '"', "\\", "é"])
@for_rows("count", [1, 300])
def test_a_text_is_long_from_one_character_more_than_a_name_has(sign: str, count: int) -> None:
    short, long = (_allergies(count, sign * length) for length in (LONGEST_SHORT, LONGEST_SHORT + 1))
    assert not long_texts_in(_bundle(short))
    found = long_texts_in(_bundle([*short, *long[:1], *short]))
    assert [[place.text for place in text.prose] for text in found] == [[sign * (LONGEST_SHORT + 1)]]


@for_rows("sign", ["r", '"', "\\", "é", 'r"', "r\\", '\\"'])
def test_what_is_over_the_budget_is_seen_in_the_chart_whatever_its_texts_hold(sign: str) -> None:
    text, over = sign * (400 // len(sign)), CHARACTERS_OF_A_CALL // 400 + 1
    values = {"reports": _bundle(_reports(over, text))}
    assert long_characters(encode_chart(read_resources(values, "p"), "p")) > CHARACTERS_OF_A_CALL
    assert within_text_budget(values)[1]


def test_a_chart_of_names_and_some_prose_is_seen_to_be_within_the_budget() -> None:
    resources = [*_allergies(1000, "n" * LONGEST_SHORT), *_reports(CHARACTERS_OF_A_CALL // 402, "r" * 400)]
    chart = encode_chart(read_resources({"all": _bundle(resources)}, "p"), "p")
    assert long_characters(chart) <= CHARACTERS_OF_A_CALL
    assert not long_characters(b"{}")
    assert not long_characters(
        encode_chart(read_resources({"all": _bundle(_allergies(9, "n" * LONGEST_SHORT))}, "p"), "p")
    )


def test_what_is_over_the_budget_is_said_once_for_each_type_and_the_first_are_read() -> None:
    fitting = CHARACTERS_OF_A_CALL // 400
    values = {
        "reports": _bundle(_reports(3, "r" * 400)),
        "allergies": _bundle(_allergies(fitting + 2, "penicillin" * 40)),
    }
    read, refusals = within_text_budget(values)
    assert _texts(read["allergies"]) == ["penicillin" * 40] * fitting + [NOT_READ] * 2
    assert [entry.resource.conclusion for entry in read["reports"].entry] == [NOT_READ] * 3  # behind the allergies
    assert [(refusal.subject, refusal.reason, refusal.text.split()[4]) for refusal in refusals] == [
        ("AllergyIntolerance", "too-much-text", "2"),
        ("DiagnosticReport", "too-much-text", "3"),
    ]


@pytest.mark.parametrize("member", ["reference", "system"])
def test_references_and_systems_are_no_prose(member: str) -> None:
    long = "https://fhir.example.org/".ljust(LONGEST_TEXT, "a")
    coding = {
        "system": "http://snomed.info/sct",
        "code": "91936005",
        **({member: long} if member != "reference" else {}),
    }
    about = {"reference": long} if member == "reference" else SUBJECT
    allergy = {"resourceType": "AllergyIntolerance", "patient": about, "code": {"coding": [coding]}}
    value = {"allergies": _bundle([allergy] * 30)}
    assert within_text_budget(value) == (value, [])


def test_an_allergy_whose_text_is_not_read_is_said_to_be_one_that_could_not_be_read() -> None:
    read, refusals = within_text_budget({"allergies": _bundle(_allergies(60, "no-" * 130))})
    record = read_record(read, "p", AS_OF, refusals=refusals)
    assert allergies(record) == ()
    assert NOT_READ in unread_allergies(record)
    assert "too-much-text" in {refusal.reason for refusal in record.refusals}


def _order(directions: str, status: str = "active", **dosage: Any) -> dict[str, Any]:
    return medication_order(
        "metformin 500 mg", status=status, intent=None, patient="p", dosageInstruction=[{"text": directions, **dosage}]
    )


def test_directions_that_come_again_cost_once_and_are_read_where_the_route_beside_them_is_not() -> None:
    directions = ", ".join(["take 1 tablet by mouth twice a day with meals"] * 4).ljust(REMEMBERED, ".")
    order = _order(directions, patientInstruction=directions)
    value = {"orders": _bundle([order] * 1000)}
    assert within_text_budget(value) == (value, [])
    longer = f"{directions}."  # costs again
    assert within_text_budget({"orders": _bundle([_order(longer, patientInstruction=longer)] * 1000)})[1]
    order["dosageInstruction"][0]["route"] = {"text": "by mouth " * 40}
    read, _ = within_text_budget({"orders": _bundle([order] * 1000)})
    dosage = read["orders"].entry[-1].resource.dosageInstruction[0]
    assert (dosage.text, dosage.route.text) == (directions, NOT_READ)
    orders = [_order(directions)]  # read, and not counted where only the prose of others is over the budget
    spent = {"orders": _bundle(orders), "reports": _bundle(_reports(CHARACTERS_OF_A_CALL // 400 + 1, "r" * 400))}
    ended = {"ended": _bundle([order | {"status": "completed"} for order in orders])}
    for values in (spent, spent | ended):
        assert [refusal.subject for refusal in within_text_budget(values)[1]] == ["DiagnosticReport"]


def test_directions_have_a_budget_of_their_own_from_which_active_orders_take_first() -> None:
    fitting = CHARACTERS_OF_DIRECTIONS // 400
    ended = [_order(f"{number:04} ".ljust(400, "e"), "completed") for number in range(4)]
    active = [_order(f"{number:04} ".ljust(400, "a")) for number in range(fitting - 1)]
    too_long = _order("")
    too_long["dosageInstruction"] = [{"text": "t" * 400}] * (fitting + 1)
    read, refusals = within_text_budget({"orders": _bundle([*ended, too_long, *active])})
    texts = [entry.resource.dosageInstruction[0].text for entry in read["orders"].entry]
    assert [text == NOT_READ for text in texts] == [False, True, True, True, True, *(False for _ in active)]
    assert [entry.resource.medicationCodeableConcept.text for entry in read["orders"].entry][1] == "metformin 500 mg"
    assert [refusal.text.split()[4] for refusal in refusals] == ["4"]


Path = tuple[str, ...]
_LIST = "[]"


def text_paths(kind: Any, path: Path = ()) -> Iterator[Path]:
    """The places of texts in a lean type, by its own declaration: a new element is tested without a line here."""
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from text_paths(one, path)
    elif isinstance(kind, inspect.VarTupleType):
        yield from text_paths(kind.item_type, (*path, _LIST))
    elif isinstance(kind, inspect.StrType):
        yield path
    elif isinstance(kind, inspect.StructType) and len(path) < 9 and not (path and issubclass(kind.cls, LeanResource)):
        for field in kind.fields:
            yield from text_paths(field.type, (*path, field.encode_name))


def prose_paths(kind: str) -> list[Path]:
    """Every place of a resource that may hold prose."""
    paths = text_paths(inspect.type_info(TYPES[kind])) if kind in TYPES else ()
    return sorted({path for path in paths if path[-1] not in (*LOOKED_UP, "resourceType")})


def with_text(path: Path, text: str, value: Any = None) -> Any:
    """The JSON value, or nothing else, with a text at the path."""
    if not path:
        return text
    if path[0] == _LIST:
        return [with_text(path[1:], text, value[0] if isinstance(value, list) and value else None)]
    before = value if isinstance(value, dict) else {}
    return {**before, path[0]: with_text(path[1:], text, before.get(path[0]))}


def _read_with(kind: str, path: Path, texts: Sequence[str]) -> Any:
    """The lean Bundle of resources with these texts at a place; None where a resource needs more than that."""
    required = {"status": "final", "code": {}, "class": {}}
    resources = [{**required, **with_text(path, text), "resourceType": kind} for text in texts]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}
    return read_value("chart", msgspec.json.encode(bundle))[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(TYPES))
def test_no_text_of_a_resource_is_read_beyond_its_budget(kind: str) -> None:
    """Every element of every resource: sixty of 2,000 characters, and one of a hundred thousand."""
    for path in prose_paths(kind):
        bundle = _read_with(kind, path, [f"{number:03} {'no-' * 665}" for number in range(60)])
        read, refusals = within_text_budget({"chart": bundle})
        kept = [len(place.text) for long in long_texts_in(read["chart"]) for place in (*long.prose, *long.directions)]
        assert sum(kept) <= CHARACTERS_OF_DIRECTIONS, path
        assert not long_texts_in(bundle) or refusals, path
        longest = long_texts_in(_read_with(kind, path, ["no-" * 33_000]))
        assert all(len(place.text) <= LONGEST_TEXT for long in longest for place in long.prose), path
