"""What has an unknown status or is on hold is named for so many days, each drug once, if it is not on the list."""

from typing import Any

import pytest

from fhir.mapping.medications.uncertain import held_medications, uncertain_medications
from tests.fhir.mapping.charts import record_of, request, statement


def _names(resources: tuple[dict[str, Any], ...]) -> tuple[list[str], list[str]]:
    record = record_of(*resources)
    return [item.source for item in uncertain_medications(record)], [item.source for item in held_medications(record)]


@pytest.mark.parametrize(
    ("resources", "unknown", "held"),
    [
        ((request("warfarin", status="unknown", authoredOn="2026-08-22"),), ["MedicationRequest/m1"], []),  # 90 days
        ((request("warfarin", status="unknown", authoredOn="2026-08-21"),), [], []),
        ((request("warfarin", status="unknown", authoredOn="2026-12-01"),), [], []),
        ((request("warfarin", status="unknown", authoredOn=""),), ["MedicationRequest/m1"], []),
        ((request("warfarin", status="on-hold", authoredOn="2025-11-20"),), [], ["MedicationRequest/m1"]),
        ((request("warfarin", status="on-hold", authoredOn="2025-11-19"),), [], []),
        ((statement("warfarin", status="unknown"),), ["MedicationStatement/s1"], []),
        ((statement("warfarin", status="unknown", effectivePeriod={"start": "2026-08-21"}),), [], []),
        ((statement("warfarin", status="unknown", effectiveDateTime="2026-08-22"),), ["MedicationStatement/s1"], []),
        ((statement("warfarin", status="unknown", dateAsserted="2026-11-01", effectiveDateTime="2020-01-01"),),
         ["MedicationStatement/s1"], []),
        ((request("warfarin", status="unknown"), statement("warfarin")), [], []),
        ((request("warfarin", status="unknown"), statement("aspirin")), ["MedicationRequest/m1"], []),
        ((request("herbal drops", status="unknown"),), [], []),
        ((request("warfarin", status="on-hold", authoredOn="2026-10-01"),
          request("warfarin", "m2", status="on-hold", authoredOn="2026-11-01"),
          request("aspirin", "m3", status="on-hold", authoredOn="2026-10-15")),
         [], ["MedicationRequest/m2", "MedicationRequest/m3"]),
    ],
)  # fmt: skip
def test_what_is_named_as_uncertain_or_held(
    resources: tuple[dict[str, Any], ...], unknown: list[str], held: list[str]
) -> None:
    assert _names(resources) == (unknown, held)
