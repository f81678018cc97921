"""Tokens of CDS Hooks 3.0: what is in the subset and what is not, and what a path finds."""

import json
from contextlib import suppress
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.kit.simulator.templates import values_of
from cds_hooks.prefetch import paths
from fhir.client.query import Query, Read, Search
from fhir.record.resources import MedicationRequest, Patient, decoder
from tests.each import for_rows
from tests.fhir import builders

TODAY = date(2024, 9, 13)
ORDERS = {
    "resourceType": "Bundle", "type": "searchset",
    "entry": [{"resource": {"resourceType": "MedicationRequest", "medicationReference": {"reference": "Medication/a"}}},
              {"resource": {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"text": "x"}}},
              {"resource": {"resourceType": "MedicationRequest",
                            "medicationReference": {"reference": "https://ehr.example/fhir/Medication/b/_history/2"}}},
              {"resource": {"resourceType": "MedicationRequest", "medicationReference": {"reference": "#inside"}}},
              {"resource": {"resourceType": "MedicationRequest",
                            "medicationReference": {"reference": "Medication/a"}}}],
}  # fmt: skip
PRODUCTS = "%orders.entry.resource.ofType(MedicationRequest).medication.resolve().ofType(Medication).id"


def test_each_form_of_a_token_is_told_from_the_others() -> None:
    assert paths.read_token("today() + 1 day") == paths.TodayToken(1)
    assert paths.read_token("userPatientId") == paths.UserToken("Patient")
    assert paths.read_token("context.patientId") == paths.PathUnion(
        (paths.Path("context", False, (paths.Member("patientId"),)),)
    )
    assert paths.read_token("%context.encounterId") == paths.read_token("context.encounterId")  # TRAP-11
    assert paths.read_token("%a.resolve( ) | %`b-c`.ofType( Patient ).id") == paths.PathUnion(
        (
            paths.Path("a", True, (paths.Resolve(),)),
            paths.Path("b-c", True, (paths.OfType("Patient"), paths.Member("id"))),
        )
    )


@for_rows(
    ("token", "row"),
    [
        ("", "TOK-02"),
        ("patientId", "TOK-03"),
        ("%orders", "TOK-02"),
        ("context.", "TOK-18"),
        ("context..id", "TOK-18"),
        ("context.draftOrders.entry.where(id = 1)", "TOK-18"),
        ("context.draftOrders.entry[0]", "TOK-18"),
        ("context.a.extension('http://example.org')", "TOK-18"),
        ("context.a.ofType(Robot).id", "TOK-11"),
        ("context.a.ofType().id", "TOK-18"),
        ("context.patientId|", "TOK-02"),
        ("today() - 90 months", "TOK-02"),
        ("now()", "TOK-02"),
    ],
)
def test_what_is_outside_the_subset_is_named_with_its_row(token: str, row: str) -> None:
    with pytest.raises(paths.WrongToken, match=row):
        paths.read_token(token)


def test_only_what_2_0_has_is_for_everyone() -> None:
    assert not any(
        paths.needs_version_3(paths.read_token(each))
        for each in ("context.patientId", "userPractitionerId", "context.userId")
    )
    newer = ("today()", PRODUCTS, "context.draftOrders.id", "context.patientId | context.encounterId")
    assert all(paths.needs_version_3(paths.read_token(each)) for each in newer)


def test_a_template_says_which_keys_it_needs() -> None:
    assert paths.keys_in("Location?_id={{%a.b.id|%c.d.id|%a.e.id}}&patient={{context.patientId}}") == ("a", "c")


@pytest.mark.parametrize("lean", [False, True])
def test_references_of_another_answer_become_one_search(lean: bool) -> None:
    orders = decoder.decode(json.dumps(ORDERS)) if lean else ORDERS
    query = paths.fill_template(f"Medication?_id={{{{{PRODUCTS}}}}}", paths.TokenValues({}, TODAY, {"orders": orders}))
    assert query == Search("Medication", (("_id", "a,b"),))


def test_a_key_without_an_answer_is_named_and_one_that_found_nothing_is_not() -> None:
    with pytest.raises(paths.NoValue) as nothing_known:
        paths.fill_template(f"Medication?_id={{{{{PRODUCTS}}}}}", paths.TokenValues({}, TODAY))
    assert nothing_known.value.unknown == ("orders",)
    with pytest.raises(paths.NoValue) as none_found:
        paths.fill_template(f"Medication?_id={{{{{PRODUCTS}}}}}", paths.TokenValues({}, TODAY, {"orders": None}))
    assert none_found.value.unknown == ()


def test_a_value_cannot_become_two() -> None:
    order = {"resourceType": "Task", "id": "a,b|c"}
    query = paths.fill_template("Task?_id={{%task.id}}", paths.TokenValues({}, TODAY, {"task": order}))
    assert query == Search("Task", (("_id", r"a\,b\|c"),))


def test_a_path_goes_on_into_what_is_at_hand() -> None:
    condition = {"resourceType": "Condition", "id": "c", "asserter": {"reference": "PractitionerRole/7"}}
    drafts = builders.bundle(
        {"resourceType": "ServiceRequest", "reasonReference": [{"reference": "Condition/c"}]}, type=None
    )
    path = "context.draftOrders.entry.resource.ofType(ServiceRequest).reasonReference.resolve().asserter.resolve().id"
    problems = {"resourceType": "Bundle", "entry": [{"resource": condition}]}
    values = paths.TokenValues({"draftOrders": drafts}, TODAY, {"problems": problems})
    assert values.values_of(path) == ("7",)
    with pytest.raises(paths.NoValue):
        paths.TokenValues({"draftOrders": drafts}, TODAY).values_of(path)


# Any path over any JSON: no failure, and the kit's own reading of it is the same.

NAMES = st.sampled_from(["entry", "resource", "subject", "medication", "id", "value"])
KINDS = st.sampled_from(["Patient", "Medication"])
REFERENCES = st.sampled_from(
    ["Patient/1", "Medication/2", "https://x.example/Patient/3", "#x", "urn:uuid:1", "Patient/"]
)
LEAVES = st.sampled_from(["1", "2", " ", 7, 1.5, True, None]) | REFERENCES
NODES = st.recursive(
    LEAVES | REFERENCES.map(lambda each: {"reference": each}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.just("medicationReference"), inner, max_size=3)
        | st.builds(lambda kind, more: {"resourceType": kind, **more}, KINDS, st.dictionaries(NAMES, inner, max_size=3))
    ),
    max_leaves=12,
)
STEPS = NAMES.map(lambda name: f".{name}") | KINDS.map(lambda kind: f".ofType({kind})") | st.just(".resolve()")


@given(st.sampled_from(["%a", "context.b"]), st.lists(STEPS, min_size=1, max_size=5), NODES)
def test_any_path_over_any_json_finds_what_the_kit_finds(root: str, steps: list[str], node: Any) -> None:
    path = root + "".join(steps)
    context, answers = ({}, {"a": node}) if root == "%a" else ({"b": node}, {})
    try:
        found: tuple[str, ...] = paths.TokenValues(context, TODAY, answers).values_of(path)
    except paths.NoValue:
        found = ()
    theirs = values_of(path, context, answers)
    assert theirs is not None
    assert list(found) == [each for each in theirs if each.strip()]


@given(st.text(alphabet="%context.abofType()resolve|`[]'{} 01-+today", max_size=40))
def test_any_text_is_a_token_or_said_to_be_none(text: str) -> None:
    with suppress(paths.WrongToken):
        paths.read_token(text)


# What a path finds in a context and in answers, each kind of node by itself.
CHART = b"""{"resourceType": "Bundle", "type": "searchset", "entry": [
    {"resource": {"resourceType": "Medication", "id": "a"}},
    {"resource": {"resourceType": "Patient", "id": "b"}},
    {"fullUrl": "urn:uuid:1"}
]}"""


def found(path: str, context: Any = None, **answers: Any) -> list[str]:
    token = paths.read_token(path)
    assert isinstance(token, paths.PathUnion)
    return list(paths.PathEvaluator(context or {}, answers).values(token.paths[0]))


def test_the_context_field_of_a_path_is_there_only_where_it_is_nothing_but_a_field() -> None:
    fields = {}
    for text in ("context.patientId", "context.a.b", "%key.id", "context.resolve()", "context.ofType(Patient)"):
        token = paths.read_token(text)
        assert isinstance(token, paths.PathUnion)
        fields[text] = (token.paths[0].field, paths.needs_version_3(token))
    assert fields == {
        "context.patientId": ("patientId", False), "context.a.b": (None, True), "%key.id": (None, True),
        "context.resolve()": (None, True), "context.ofType(Patient)": (None, True),
    }  # fmt: skip
    assert not paths.needs_version_3(paths.read_token("userPatientId"))


@for_rows(
    ("value", "values"), [("p1", ["p1"]), (7, ["7"]), (True, ["true"]), (" ", []), (["p1"], []), ({"id": "p1"}, [])]
)
def test_a_field_of_the_context_is_one_simple_value(value: Any, values: list[str]) -> None:
    assert list(paths.PathEvaluator({"patientId": value}, {}).field("patientId")) == values
    assert list(paths.PathEvaluator({}, {}).field("patientId")) == []


def test_a_search_by_id_is_answered_already_only_where_every_resource_is_at_hand() -> None:
    values = paths.TokenValues({}, date(2026, 11, 23), {"chart": decoder.decode(CHART)})
    expected: dict[Query, bool] = {
        Search("Medication", (("_id", "a"),)): True,
        Search("Medication", (("_id", "a,b"),)): False,
        Search("Medication", (("patient", "a"),)): False,
        Search("Medication", (("_id", "a"), ("patient", "b"))): False,
        Read("Medication", "a"): False,
    }
    assert {query: values.are_in_hand(query) for query in expected} == expected


def test_a_path_goes_through_resources_of_either_reader_and_past_entries_without_one() -> None:
    path = "context.subject.resolve().id"
    assert found(path, {"subject": {"reference": "Patient/b"}}) == ["b"]
    born = "context.subject.resolve().birthDate"
    context = {"subject": {"reference": "Patient/b"}}
    lean = decoder.decode(CHART.replace(b'"id": "b"', b'"id": "b", "birthDate": "1950-01-02"'))
    assert found(born, context, chart=lean) == ["1950-01-02"]
    raw = {"resourceType": "Patient", "id": "b", "birthDate": "1951-01-02"}
    assert found(born, context, chart=raw) == ["1951-01-02"]
    assert found(born, context, chart={"resourceType": "Bundle", "entry": [{"resource": raw}, {}]}) == ["1951-01-02"]
    assert found(born, context, chart={"id": "b", "birthDate": "1951-01-02"}) == []
    assert found(born, context) == []


def test_a_path_can_go_only_through_elements_that_the_readers_keep() -> None:
    read = {
        name: paths.is_element_read(MedicationRequest, name) for name in ("id", "medication", "requester", "nothing")
    }
    assert read == {"id": True, "medication": True, "requester": False, "nothing": False}
    assert paths.is_element_read(Patient, "birthDate") is True
