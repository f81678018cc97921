"""Race and ethnicity as US Core records them: groups for monitoring."""

from typing import Any

import pytest

from fhir.mapping.race_and_ethnicity import race_and_ethnicity
from fhir.record.record import PatientRecord, read_record
from tests.fhir.builders import record_of

BASE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
SYSTEM = "urn:oid:2.16.840.1.113883.6.238"


def of_patient(*extensions: dict[str, Any]) -> PatientRecord:
    return record_of(patient={"resourceType": "Patient", "id": "p1", "extension": list(extensions)})


def extension(kind: str, *codes: str, system: str = SYSTEM) -> dict[str, Any]:
    parts = [{"url": "ombCategory", "valueCoding": {"system": system, "code": code}} for code in codes]
    return {"url": f"{BASE}{kind}", "extension": [*parts, {"url": "text", "valueString": "as told"}]}


@pytest.mark.parametrize(
    ("extensions", "groups"),
    [
        ((extension("race", "2054-5"),), ("race Black or African American",)),
        (
            (extension("race", "2106-3"), extension("ethnicity", "2135-2")),
            ("race White", "ethnicity Hispanic or Latino"),
        ),
        ((extension("race", "2106-3", "2028-9"),), ("race more than one",)),
        ((extension("race", "2106-3", system="urn:oid:1.2.3"),), ()),
        ((extension("race", "UNK"),), ()),
        ((extension("birthsex", "2106-3"),), ()),
        ((), ()),
    ],
)
def test_the_groups_are_those_of_the_categories(extensions: tuple[Any, ...], groups: tuple[str, ...]) -> None:
    assert race_and_ethnicity(of_patient(*extensions)) == groups


def test_without_a_patient_there_are_none() -> None:
    assert race_and_ethnicity(record_of()) == ()


def test_without_a_patient_there_is_no_group() -> None:
    from datetime import UTC, datetime

    assert race_and_ethnicity(read_record({}, "p1", datetime(2026, 11, 20, tzinfo=UTC))) == ()
