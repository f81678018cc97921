"""The steps of a series that a site declares: the newest value of each, as of the moment asked."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.feature import FeatureFault, Missing, map_features
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.fhir.builders import observation
from tests.fhir.mapping.features.test_declared import _forget, declared

__all__ = ["_forget"]
SERIES = """
[[feature]]
name = "potassium_series"
words = "Potassium"
evidence = "an input of a model of this test"
analyte = "potassium"
steps = 4
step_hours = 6
"""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def result(number: int, value: float, when: str) -> dict[str, object]:
    return observation("2823-3", value, "mmol/L", when, patient="p", id=f"o{number}")


def test_each_step_has_its_newest_value_and_nothing_of_later(tmp_path: Path) -> None:
    names = declared(tmp_path, SERIES)
    assert names == tuple(f"potassium_series_{step}" for step in (1, 2, 3, 4))
    times = {
        "2026-11-19T11:00:00Z": 9.9, "2026-11-19T13:00:00Z": 3.1, "2026-11-20T00:00:00Z": 4.1,
        "2026-11-20T07:00:00Z": 5.1, "2026-11-20T11:00:00Z": 5.5, "2026-11-20T12:30:00Z": 6.6,
    }  # fmt: skip
    entries = [{"resource": result(*item)} for item in zip(range(9), times.values(), times, strict=False)]
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    record = read_record({"labs": decoder.decode(orjson.dumps(bundle))}, "p", NOW)
    vector = map_features(record, features_named(names))
    assert [None if value is None else value.value for value in vector.evidence] == [3.1, 4.1, None, 5.5]
    gap = FEATURES["potassium_series_3"].read(record)
    assert isinstance(gap, Missing)
    assert gap.text == "Potassium, 12 to 6 hours before: not recorded."
    assert FEATURES["potassium_series_1"].window_days == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("step_hours = 6", "a series has steps and step_hours"),
        ("steps = 4\nstep_hours = 6\nstatistic = 'mean'", "no statistic"),
        ("steps = 4\nstep_hours = 6\nwindow_days = 3", "window_days is not for such a feature"),
    ],
)
def test_a_series_that_is_declared_wrongly_is_refused(line: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(FeatureFault, match=sentence):
        declared(tmp_path, SERIES.replace("steps = 4\nstep_hours = 6", line))
