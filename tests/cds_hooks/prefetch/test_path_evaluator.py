"""What a path finds in a context and in answers, each kind of node by itself."""

from datetime import date
from typing import Any

import pytest
from msgspec import Raw, Struct

from cds_hooks.prefetch.paths import (
    PathEvaluator,
    PathUnion,
    Target,
    TokenValues,
    _attributes,
    _decoded,
    _fields,
    _resources,
    _target,
    _text,
    fill_template,
    is_element_read,
    needs_version_3,
    read_token,
)
from cds_hooks.protocol.hooks import PatientViewContext
from fhir.client.query import Query, Read, Search
from fhir.record.resources import MedicationRequest, Patient, decoder

CHART = b"""{"resourceType": "Bundle", "type": "searchset", "entry": [
    {"resource": {"resourceType": "Medication", "id": "a"}},
    {"resource": {"resourceType": "Patient", "id": "b"}},
    {"fullUrl": "urn:uuid:1"}
]}"""


def found(path: str, context: Any = None, **answers: Any) -> list[str]:
    token = read_token(path)
    assert isinstance(token, PathUnion)
    return list(PathEvaluator(context or {}, answers).values(token.paths[0]))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (1.5, "1.5"),
        ("x", "x"),
        ({"reference": "Patient/1"}, "Patient/1"),
        ({"reference": 1}, ""),
        ({"display": "x"}, ""),
        (None, ""),
        ([], ""),
    ],
)
def test_a_path_ends_at_a_simple_value_or_at_a_reference(node: Any, text: str) -> None:
    assert _text(node) == text


@pytest.mark.parametrize(
    ("node", "target"),
    [
        ("Patient/1", Target("Patient", "1")),
        ({"reference": "Patient/1"}, Target("Patient", "1")),
        ("https://ehr.example/fhir/Patient/1/_history/2", Target("Patient", "1")),
        ("https://ehr.example/_history/Patient/1", None),
        ("Patient/1/_history/2/_history/3", Target("Patient", "1")),
        ("patient/1", None),
        ("Pa-tient/1", None),
        ("Patient/ ", None),
        ("Patient", None),
        ("#inside", None),
        ("urn:uuid:1", None),
        ("", None),
        (7, None),
        ({"reference": 7}, None),
        ({}, None),
    ],
)
def test_a_reference_names_a_type_and_an_id(node: Any, target: Target | None) -> None:
    assert _target(node) == target


def test_the_context_field_of_a_path_is_there_only_where_it_is_nothing_but_a_field() -> None:
    fields = {}
    for text in ("context.patientId", "context.a.b", "%key.id", "context.resolve()", "context.ofType(Patient)"):
        token = read_token(text)
        assert isinstance(token, PathUnion)
        fields[text] = (token.paths[0].field, needs_version_3(token))
    assert fields == {
        "context.patientId": ("patientId", False), "context.a.b": (None, True), "%key.id": (None, True),
        "context.resolve()": (None, True), "context.ofType(Patient)": (None, True),
    }  # fmt: skip
    assert not needs_version_3(read_token("userPatientId"))


@pytest.mark.parametrize(
    ("value", "values"), [("p1", ["p1"]), (7, ["7"]), (True, ["true"]), (" ", []), (["p1"], []), ({"id": "p1"}, [])]
)
def test_a_field_of_the_context_is_one_simple_value(value: Any, values: list[str]) -> None:
    assert list(PathEvaluator({"patientId": value}, {}).field("patientId")) == values
    assert list(PathEvaluator({}, {}).field("patientId")) == []


def test_a_search_by_id_is_answered_already_only_where_every_resource_is_at_hand() -> None:
    values = TokenValues({}, date(2026, 11, 23), {"chart": decoder.decode(CHART)})
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


def test_every_token_of_a_template_is_filled() -> None:
    values = TokenValues({"a": "1", "b": "2", "c": "3"}, date(2026, 11, 23))
    template = "{{context.a}}-{{context.b}}-{{context.c}}"
    assert fill_template(f"Patient/{template}", values) == Read("Patient", "1-2-3")
    assert fill_template(f"Patient?_id=%7C{template}%7C", values) == Search("Patient", (("_id", "|1-2-3|"),))
    assert fill_template("Patient?_id=%7C{{context.a}}%7C{{context.b}}%7C{{context.c}}%7C", values) == Search(
        "Patient", (("_id", "|1|2|3|"),)
    )


def test_the_members_of_a_context_are_those_of_its_mapping_or_of_its_struct() -> None:
    assert list(_fields({"a": 1, "b": Raw(b"[2]")})) == [1, [2]]
    context = PatientViewContext(user_id="Practitioner/1", patient_id="p", encounter_id="e")
    assert list(_fields(context))[:3] == ["p", "Practitioner/1", "e"]


def test_what_is_no_json_is_nothing() -> None:
    assert _decoded(Raw(b'{"a": 1}')) == {"a": 1}
    assert _decoded(Raw(b"{]")) is None


def test_only_what_has_a_type_is_a_resource() -> None:
    patient = {"resourceType": "Patient"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}, {"resource": patient}]}
    assert list(_resources(patient)) == [patient]
    assert list(_resources(bundle)) == [patient, patient]
    assert list(_resources({"id": "1"})) == []
    assert list(_resources("Patient")) == []


class _Renamed(Struct):
    ours: int = 0


def test_the_elements_of_a_type_are_known_by_their_names_in_json() -> None:
    assert _attributes(_Renamed) == {"ours": "ours"}
    assert _attributes(PatientViewContext)["patientId"] == "patient_id"
    assert _attributes(dict) == {}


def test_a_path_can_go_only_through_elements_that_the_readers_keep() -> None:
    read = {name: is_element_read(MedicationRequest, name) for name in ("id", "medication", "requester", "nothing")}
    assert read == {"id": True, "medication": True, "requester": False, "nothing": False}
    assert is_element_read(Patient, "birthDate") is True
