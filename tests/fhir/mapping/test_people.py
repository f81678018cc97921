"""What a user works as: only by roles that are theirs, active, and neither over nor still to come."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from fhir.mapping.people import race_and_ethnicity, roles_of_user
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import PractitionerRole
from tests.each import for_rows
from tests.fhir.builders import record_of

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NURSE = {"coding": [{"system": "http://snomed.info/sct", "code": "224535009"}]}
ROLE: dict[str, Any] = {"id": "r1", "practitioner": {"reference": "Practitioner/a"}, "code": [NURSE]}


def _roles(user: str, *roles: dict[str, Any]) -> tuple[str, ...]:
    return roles_of_user([msgspec.convert(role, PractitionerRole) for role in roles], user, AS_OF)


@for_rows(
    ("more", "counts"),
    [
        ({}, True),
        ({"active": True}, True),
        ({"active": False}, False),
        ({"practitioner": {"reference": "Practitioner/b"}}, False),
        ({"practitioner": {"reference": "https://ehr.example/fhir/Practitioner/a"}}, True),
        ({"practitioner": {"display": "A"}}, False),
        ({"practitioner": None}, False),
        ({"period": {}}, True),
        ({"period": {"end": "2026-11-20"}}, True),
        ({"period": {"end": "2026-11-19"}}, False),
        ({"period": {"end": "2026-11-20T08:00:00Z"}}, True),
        ({"period": {"start": "2026-11-20T09:00:00Z"}}, True),
        ({"period": {"start": "2026-11-21"}}, False),
        ({"period": {"start": "2026-11-01", "end": "2026-11-10"}}, False),
        ({"code": []}, False),
        ({"code": [], "specialty": [NURSE]}, True),
    ],
)
def test_a_role_counts_that_is_of_the_user_and_holds_now(more: dict[str, Any], counts: bool) -> None:
    assert _roles("Practitioner/a", ROLE | more) == (("nurse",) if counts else ())


def test_a_user_may_be_named_by_the_role_itself_and_nobody_has_none() -> None:
    assert _roles("PractitionerRole/r1", ROLE | {"practitioner": None}) == ("nurse",)
    assert _roles("", ROLE | {"practitioner": {"reference": ""}}) == ()
    assert roles_of_user([object()], "Practitioner/a", AS_OF) == ()


@for_rows(
    ("concept", "roles"),
    [
        ({"text": "Registered nurse"}, ("nurse",)),
        ({"text": "Registered nurse", "coding": [{"system": "http://snomed.info/sct", "code": "0"}]}, ("nurse",)),
        ({"coding": [{"system": "urn:other", "code": "224535009"}]}, ()),
        ({"text": "Gardener"}, ()),
        ({"text": "224535009"}, ()),
        ({"text": "Nurse", "coding": [{"code": "224535009"}, {"system": "http://snomed.info/sct"}]}, ("nurse",)),
    ],
)
def test_words_name_a_role_where_no_code_does(concept: dict[str, Any], roles: tuple[str, ...]) -> None:
    assert _roles("Practitioner/a", ROLE | {"code": [concept]}) == roles


BASE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
SYSTEM = "urn:oid:2.16.840.1.113883.6.238"


def of_patient(*extensions: dict[str, Any]) -> PatientRecord:
    return record_of(patient={"resourceType": "Patient", "id": "p1", "extension": list(extensions)})


def extension(kind: str, *codes: str, system: str = SYSTEM) -> dict[str, Any]:
    parts = [{"url": "ombCategory", "valueCoding": {"system": system, "code": code}} for code in codes]
    return {"url": f"{BASE}{kind}", "extension": [*parts, {"url": "text", "valueString": "as told"}]}


@for_rows(
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
