"""One broken resource costs itself, never its neighbors."""

from typing import Any

import orjson
import pytest

from fhir.record.record import read_record, read_value
from fhir.record.refusals import WrongPatient
from fhir.record.resources import Observation
from tests.each import for_rows
from tests.fhir.builders import AS_OF, WOMAN, bundle, lean, observation

GOOD = observation("2160-0", 1.2, "mg/dL")


def test_a_broken_resource_is_named_and_the_rest_stands() -> None:
    broken = observation("2160-0", 1.3, "mg/dL") | {"id": "bad", "valueQuantity": {"value": "high"}}
    chart = bundle(GOOD, broken, GOOD | {"id": "o2"}) | {"meta": {"lastUpdated": "2026-11-01"}}
    value, refusals = read_value("labs", orjson.dumps(chart))
    assert value.meta.lastUpdated == "2026-11-01"  # when the search was run: an old one is told of
    assert [refusal.subject for refusal in refusals] == ["Observation/bad"]
    assert "valueQuantity.value" in refusals[0].text
    record = read_record({"patient": lean(WOMAN), "labs": value}, "p1", AS_OF)
    assert len(record.facts(Observation)) == 2


def test_a_broken_resource_about_another_patient_still_stops_the_call() -> None:
    broken = GOOD | {"subject": {"reference": "Patient/p2"}, "status": 5}
    value, _ = read_value("labs", orjson.dumps(bundle(broken)))
    with pytest.raises(WrongPatient, match="One Observation is about another patient"):
        read_record({"patient": lean(WOMAN), "labs": value}, "p1", AS_OF)


def test_an_unknown_resource_type_is_refused_without_repeating_its_name_as_a_value() -> None:
    _, (refusal,) = read_value("labs", orjson.dumps(bundle({"resourceType": "Spaceship", "id": "s"})))
    assert refusal.subject == "Spaceship/s"
    assert "must be a FHIR R4 type" in refusal.text


def test_null_means_asked_and_none_found() -> None:
    assert read_value("labs", b"null") == (None, [])


@for_rows("odd")
def test_older_and_odd_forms_are_read_by_every_reader(odd: dict[str, Any]) -> None:
    """Not by the reader of calls alone: charts in files and pages of a FHIR server are read here."""
    resource = odd | {"subject": {"reference": "Patient/p1"}}
    for value in (resource, bundle(resource)):
        assert read_value("any", orjson.dumps(value))[1] == []
