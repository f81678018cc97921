"""What was measured in hospital, or two weeks after it, is left out of an estimate for people at home."""

from math import isnan
from typing import Any

import pytest

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.stays import without_stays
from tests.fhir import builders
from tests.fhir.builders import observation, record_of

CREATININE, AGE = FEATURES = features_named(("creatinine_mg_dl", "age_years"))


def visit(code: str, start: str, end: str | None) -> dict[str, Any]:
    period = {"start": start} | ({"end": end} if end else {})
    return builders.encounter(code, "finished" if end else "in-progress", id=code, period=period)


STAY = visit("IMP", "2026-09-10T08:00:00Z", "2026-09-15T08:00:00Z")
EMERGENCY = visit("EMER", "2026-09-10T08:00:00Z", "2026-09-10T12:00:00Z")


@pytest.mark.parametrize(
    ("encounter", "emergencies", "when", "occasion"),
    [
        (STAY, False, "2026-09-09T07:59:00Z", None),
        (STAY, False, "2026-09-09T08:00:00Z", "a stay in hospital or the two weeks after it"),
        (STAY, False, "2026-09-29T08:00:00Z", "a stay in hospital or the two weeks after it"),
        (STAY, False, "2026-09-29T08:01:00Z", None),
        (visit("IMP", "2026-11-18T08:00:00Z", None), False, "2026-11-19",
         "a stay in hospital or the two weeks after it"),
        (EMERGENCY, False, "2026-09-10T09:00:00Z", None),
        (EMERGENCY, True, "2026-09-10T07:59:00Z", None),
        (EMERGENCY, True, "2026-09-10T08:00:00Z", "an emergency visit"),
        (EMERGENCY, True, "2026-09-11T12:00:00Z", "an emergency visit"),
        (EMERGENCY, True, "2026-09-11T12:01:00Z", None),
        (visit("AMB", "2026-09-10", "2026-09-10"), True, "2026-09-10", None),
    ],
)  # fmt: skip
def test_a_value_of_a_stay_is_refused_with_the_occasion(
    encounter: dict[str, Any], emergencies: bool, when: str, occasion: str | None
) -> None:
    record = record_of(encounter, observation("2160-0", 1.2, "mg/dL", when))
    vector = map_features(record, FEATURES)
    read = without_stays(record, vector, emergencies=emergencies)
    assert read.features == FEATURES
    assert (read.values[1], read.evidence[1]) == (70.0, vector.evidence[1])
    if occasion is None:
        assert (read.values[0], read.evidence[0], read.missing) == (1.2, vector.evidence[0], [])
    else:
        assert isnan(read.values[0])
        assert read.evidence[0] is None
        text = f"Creatinine of {when[:10]} is of {occasion}."
        assert read.missing == [Missing(CREATININE, "refused", text)]
    assert vector.values[0] == 1.2


def test_without_a_stay_the_vector_is_the_same() -> None:
    record = record_of(observation("2160-0", 1.2, "mg/dL"))
    vector = map_features(record, FEATURES)
    assert without_stays(record, vector, emergencies=True) is vector
    in_stay = record_of(STAY)
    without = map_features(in_stay, FEATURES)
    assert without_stays(in_stay, without).missing == without.missing
