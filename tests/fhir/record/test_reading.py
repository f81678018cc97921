"""One broken resource costs itself, never its neighbours."""

from typing import Any

import msgspec
import orjson
import pytest

from cards.rules.engine.rule_book import rule_book
from cds_hooks.metrics import Metrics
from fhir.mapping.conditions import find_condition, unread_problems
from fhir.mapping.medications.active import active_medications, unreadable_codes
from fhir.record.record import read_record, read_value
from fhir.record.refusals import WrongPatient
from tests.cards.rules.cases import check, reasons
from tests.cards.rules.patients import draft_of, drafts_of
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT, WOMAN, bundle, lean, medication_order, observation, record_of

GOOD = observation("2160-0", 1.2, "mg/dL")


def test_a_broken_resource_is_named_and_the_rest_stands() -> None:
    broken = observation("2160-0", 1.3, "mg/dL") | {"id": "bad", "valueQuantity": {"value": "high"}}
    chart = bundle(GOOD, broken, GOOD | {"id": "o2"}) | {"meta": {"lastUpdated": "2026-11-01"}}
    value, refusals = read_value("labs", orjson.dumps(chart))
    assert value.meta.lastUpdated == "2026-11-01"  # when the search was run: an old one is told of
    assert [refusal.subject for refusal in refusals] == ["Observation/bad"]
    assert "valueQuantity.value" in refusals[0].text
    record = read_record({"patient": lean(WOMAN), "labs": value}, "p1", AS_OF)
    assert len(record.observations) == 2


def test_a_broken_resource_about_another_patient_still_stops_the_call() -> None:
    broken = GOOD | {"subject": {"reference": "Patient/p2"}, "status": 5}
    value, _ = read_value("labs", orjson.dumps(bundle(broken)))
    with pytest.raises(WrongPatient, match="One Observation is about another patient"):
        read_record({"patient": lean(WOMAN), "labs": value}, "p1", AS_OF)


@for_rows("raw", [b"[1]", b'"text"', b"7", b"{}", b'{"resource": {"resourceType": "Patient"}}'])
def test_what_is_no_resource_is_refused_by_its_key(raw: bytes) -> None:
    value, (refusal,) = read_value("labs", raw)
    assert value is None
    assert (refusal.subject, refusal.reason) == ("prefetch.labs", "not-a-resource")


def test_an_unknown_resource_type_is_refused_without_repeating_its_name_as_a_value() -> None:
    _, (refusal,) = read_value("labs", orjson.dumps(bundle({"resourceType": "Spaceship", "id": "s"})))
    assert refusal.subject == "Spaceship/s"
    assert "no FHIR R4 type" in refusal.text


def test_entries_that_are_no_objects_are_refused_by_position() -> None:
    _, refusals = read_value("labs", b'{"resourceType": "Bundle", "entry": [5, {"resource": 7}, {}]}')
    assert [refusal.subject for refusal in refusals] == ["prefetch.labs.entry[0]", "prefetch.labs.entry[1]"]


def test_null_means_asked_and_none_found() -> None:
    assert read_value("labs", b"null") == (None, [])


def test_bytes_that_are_no_json_are_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_value("labs", b'{"resourceType": "Patient"')


@for_rows(
    "odd",
    [
        {"resourceType": "Condition", "id": "x", "clinicalStatus": "active", "code": {"text": "Asthma"}},
        {"resourceType": "Condition", "id": "x", "code": {"coding": {"code": "J45"}, "text": "Asthma"}},
        {"resourceType": "Observation", "id": "x", "status": "final", "code": {"text": "K"},
         "valueQuantity": {"value": "6.4", "unit": "mmol/L"}},
        {"resourceType": "MedicationRequest", "id": "x", "status": "active", "intent": "order",
         "medicationCodeableConcept": {"text": "metformin"}, "dosageInstruction": {"text": "daily"}},
    ],
)  # fmt: skip
def test_older_and_odd_forms_are_read_by_every_reader(odd: dict[str, Any]) -> None:
    """Not by the reader of calls alone: charts in files and pages of a FHIR server are read here."""
    resource = odd | {"subject": {"reference": "Patient/p1"}}
    for value in (resource, bundle(resource)):
        assert read_value("any", orjson.dumps(value))[1] == []


@pytest.mark.parametrize("more", [{}, {"code": {"text": "a   b"}}])
def test_runs_of_white_space_are_collapsed_in_a_resource_and_in_each_entry_of_a_bundle(more: dict[str, Any]) -> None:
    resource = GOOD | more
    expected = lean(GOOD | ({"code": {"text": "a b"}} if more else {}))
    assert read_value("one", orjson.dumps(resource)) == (expected, [])
    value, refusals = read_value("all", orjson.dumps(bundle(*[GOOD] * 40, resource)))
    assert refusals == []
    assert [entry.resource for entry in value.entry] == [*[lean(GOOD)] * 40, expected]


# What could not be read is counted where somebody looks for it: problems, numeric results, and by client and code.
LOCAL = "https://hospital.example/problems"
APIXABAN = {"drug": "1364445", "dose": "1 tablet", "times": 2}


def _problem(number: int, text: str | None = None, *codings: dict[str, str]) -> dict[str, Any]:
    code = {"coding": list(codings), **({"text": text} if text else {})}
    return {"resourceType": "Condition", "id": str(number), "subject": SUBJECT, "code": code}


UNKNOWN = (
    _problem(1, "Gwiddle syndrome"),
    _problem(2, "Gwiddle syndrome"),
    _problem(3, None, {"system": LOCAL, "code": "A7"}),
    _problem(4, "Fnordosis", {"system": "http://snomed.info/sct", "code": "999999999999"}),
    _problem(5, "Atrial fibrillation"),
)


def test_a_problem_list_is_not_searched_without_a_word_about_what_could_not_be_read() -> None:
    record = record_of(*UNKNOWN)
    assert not record.refusals
    assert find_condition(record, "hf") is None
    assert unread_problems(record) == ("Gwiddle syndrome", "A7", "Fnordosis")
    (refusal,) = record.refusals
    assert refusal.text == "3 problems could not be read: Gwiddle syndrome; A7; Fnordosis."


def test_a_problem_that_is_understood_and_in_no_group_is_not_counted() -> None:
    record = record_of(_problem(1, None, {"system": "http://snomed.info/sct", "code": "195662009"}))
    assert find_condition(record, "hf") is None
    assert not record.refusals


@pytest.mark.parametrize(("problems", "is_counted"), [(UNKNOWN, True), (UNKNOWN[4:], False)])
def test_a_rule_about_a_condition_reaches_no_limit_only_where_all_problems_were_read(
    problems: tuple[dict[str, Any], ...], is_counted: bool
) -> None:
    outcome = check(record_of(*problems), drafts_of(draft_of(APIXABAN)), signing=True)
    looking = {rule.id for rule in rule_book().rules if any(use.startswith("condition:") for use in rule.band_uses)}
    looked = {subject for subject, reason in reasons(outcome) if reason == "within-limits"} & looking
    counted = [silence for silence in outcome.silences if silence.reason == "problems-unreadable"]
    assert bool(looked) is not is_counted
    assert bool(counted) is is_counted
    assert all("3 problems could not be read" in silence.text for silence in counted)
    (scope,) = [silence.text for silence in outcome.silences if silence.reason == "scope"]
    assert scope.endswith("3 problems could not be read.") is is_counted


def test_what_is_not_understood_is_counted_by_client_and_public_code_only() -> None:
    record = record_of(*UNKNOWN, _problem(6, "Jane Doe's problem"))
    find_condition(record, "hf")
    metrics = Metrics()
    metrics.not_understood("ehr", record.refusals)
    labels = {key[1:]: count for key, count in metrics.counts.items()}
    assert labels == {
        ("ehr", "problems", "text"): 2,
        ("ehr", "problems", "local"): 1,
        ("ehr", "problems", "999999999999"): 1,
    }


def test_a_medication_that_no_table_knows_is_counted_by_client_and_public_code() -> None:
    def order(number: int, text: str, **coding: str) -> dict[str, object]:
        concept = {"text": text, "coding": [coding] if coding else []}
        return medication_order(concept, id=f"m{number}", authoredOn="2026-11-01")

    record = record_of(
        order(1, "Xyzalforte"),
        order(2, "Zorblax", system="http://www.nlm.nih.gov/research/umls/rxnorm", code="99999999"),
        order(3, "Quux", system="urn:of-the-hospital", code="Q1"),
        order(4, "Metformin 500 mg"),
    )
    assert unreadable_codes(record) == ()  # nobody has looked at the list yet
    active_medications(record)
    metrics = Metrics()
    metrics.not_understood("ehr", (), unreadable_codes(record))
    assert {key[1:]: count for key, count in metrics.counts.items()} == {
        ("ehr", "medications", "text"): 1,
        ("ehr", "medications", "99999999"): 1,
        ("ehr", "medications", "local"): 1,
    }
