"""How far a pregnancy is."""

import pytest

from fhir.mapping.pregnancy import gestation_weeks
from fhir.record.time import parse_time
from tests.fhir.mapping.charts import record_of


@pytest.mark.parametrize(
    ("onset", "weeks"),
    [("2026-11-20", 2), ("2026-03-13", 38), ("2026-03-14", 37), ("2026-03", None), ("2026-11-25", None)],
)
def test_the_onset_counts_as_two_weeks(onset: str, weeks: int | None) -> None:
    assert gestation_weeks(record_of(), parse_time(onset)) == weeks


def test_without_an_onset_the_week_is_not_known() -> None:
    assert gestation_weeks(record_of(), None) is None
