"""Whether the patient is in hospital."""

from typing import Any

import pytest

from fhir.mapping.stays import current_stay, is_inpatient
from tests.fhir.mapping.charts import SUBJECT, record_of
from tests.fhir.record.charts import record_of as record_of_call


def _stay(code: str = "IMP", status: str = "in-progress", **period: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": "e1", "status": status, "class": {"code": code}, "subject": SUBJECT,
        "period": period,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stay", "inside"),
    [
        (_stay(start="2026-11-18"), True),
        (_stay("ACUTE", start="2026-11-18"), True),
        (_stay("AMB", start="2026-11-18"), False),
        (_stay("EMER", start="2026-11-18"), False),
        (_stay(start="2026-11-25"), False),
        (_stay(status="finished", start="2026-11-18"), False),
        (_stay(status="finished", start="2026-11-18", end="2026-11-20"), True),
        (_stay(status="finished", start="2026-11-18", end="2026-11-20T08:59:00Z"), False),
        (_stay(status="finished", start="2026-11-18", end="2026-11-22T08:00:00Z"), True),
        (_stay(status="planned", start="2026-11-18"), False),
        (_stay(status="planned", start="2026-11-18", end="2026-11-25"), False),
    ],
)
def test_a_stay_covers_its_period(stay: dict[str, Any], inside: bool) -> None:
    assert is_inpatient(record_of(stay)) is inside


def test_a_chart_without_encounters_is_not_in_hospital() -> None:
    assert not is_inpatient(record_of())


def test_the_stay_of_the_call_goes_before_others_that_are_open() -> None:
    ended = [_stay(status="finished", start=f"2026-11-{day}", end=f"2026-11-{day + 1}") for day in (10, 14)]
    stays = [
        stay | {"id": name}
        for stay, name in zip([*ended, _stay(start="2026-11-18")], ("e10", "e14", "e18"), strict=True)
    ]
    for name in ("e10", "e14", "e18"):
        named_stay = current_stay(record_of_call(*stays, encounter_id=name))
        assert named_stay is not None
        assert named_stay.encounter.id == name
