"""What a user works as: only by roles that are theirs, active, and neither over nor still to come."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from fhir.mapping.people import race_and_ethnicity, roles_of_user
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


def test_without_a_patient_there_are_none() -> None:
    assert race_and_ethnicity(record_of()) == ()
