"""Statistics of the values of a window: the number and the sentence, which values count, and when there are too few."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir.mapping.features.feature import FeatureValue, Missing
from fhir.mapping.features.history import History, Statistic, Where
from tests.each import for_rows
from tests.fhir.builders import observation, record_of

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
POTASSIUM = "2823-3"


def statistic(name: Statistic, days: int | None = 7, last: int = 0, where: Where = "anywhere") -> History:
    return History("f", "Potassium trend", "a test", "mmol/L", window_days=days, quantity="potassium",
                   statistic=name, last=last, where=where)  # fmt: skip


def potassium(hours_ago: float, value: float) -> dict[str, Any]:
    when = (NOW - timedelta(hours=hours_ago)).isoformat()
    return observation(POTASSIUM, value, "mmol/L", when) | {"id": f"k{hours_ago:g}"}


def read(feature: History, *resources: dict[str, Any]) -> FeatureValue | Missing:
    return feature.read(record_of(*resources, as_of=NOW))


VALUES = (potassium(72, 4.0), potassium(48, 6.0), potassium(24, 5.0), potassium(0, 6.5))
SINCE = "2026-11-17 to 2026-11-20"


@for_rows(
    ("name", "value", "words", "source"),
    [
        ("newest", 6.5, "6.5 mmol/L on 2026-11-20", "k0"),
        ("first", 4.0, "4 mmol/L on 2026-11-17", "k72"),
        ("minimum", 4.0, "4 mmol/L on 2026-11-17", "k72"),
        ("maximum", 6.5, "6.5 mmol/L on 2026-11-20", "k0"),
        ("mean", 5.375, f"5.38 mmol/L, mean of 4 values of 4 to 6.5 mmol/L ({SINCE})", "k0"),
        ("median", 5.5, f"5.5 mmol/L, median of 4 values of 4 to 6.5 mmol/L ({SINCE})", "k0"),
        # days 0 to 3 around 1.5, values around 5.375: (-1.5·-1.375 - 0.5·0.625 - 0.5·0.375 + 1.5·1.125) / 5
        ("slope", 0.65, f"rose from 4 to 6.5 mmol/L in 3 days ({SINCE})", "k0"),
        # squares 1.890625 + 0.390625 + 0.140625 + 1.265625 = 3.6875, by 3, and its root
        ("variability", 1.108678, f"1.11 mmol/L, standard deviation of 4 values of 4 to 6.5 mmol/L ({SINCE})", "k0"),
        ("days_since", 0.0, "0 days (since 2026-11-20)", "k0"),
        ("number", 4.0, "4 values in 7 days", "k0"),
    ],
)
def test_every_statistic_with_its_sentence_and_its_source(
    name: Statistic, value: float, words: str, source: str
) -> None:
    feature = statistic(name)
    found = read(feature, *VALUES)
    assert isinstance(found, FeatureValue)
    assert found.value == found.charted_value == pytest.approx(value, abs=1e-6)
    assert (found.charted_unit, found.source, found.code) == (words, f"Observation/{source}", POTASSIUM)
    assert feature.show(found) == words


def test_the_window_ends_at_the_moment_and_has_the_edge_of_the_newest_value_of_so_many_completed_days() -> None:
    values = (potassium(-1, 3.0), potassium(0, 4.0), potassium(191, 5.0), potassium(192, 6.0))
    for name in ("newest", "mean", "days_since"):
        assert isinstance(read(statistic(name), values[2]), FeatureValue)
        assert isinstance(read(statistic(name), values[3]), Missing)
    counted = read(statistic("number"), *values)
    assert isinstance(counted, FeatureValue)
    assert counted.value == 2.0
    since = read(statistic("days_since"), potassium(60, 4.0))
    assert isinstance(since, FeatureValue)
    assert (since.value, since.charted_unit) == (2.5, "2 days (since 2026-11-17)")
    newest_two = read(statistic("mean", last=2), *values[1:])
    newest_one = read(statistic("mean", last=1), *values[1:])
    assert isinstance(newest_two, FeatureValue)
    assert isinstance(newest_one, FeatureValue)
    assert (newest_two.value, newest_one.value) == (4.5, 4.0)


def test_without_a_value_the_reason_is_given() -> None:
    none = read(statistic("number"))
    assert none == FeatureValue(none.feature, 0.0, "2026-11-20", "Patient/p1", "", 0.0, "0 values in 7 days")
    mean = statistic("mean")
    assert read(mean) == Missing(mean, "absent", "Potassium trend: not recorded.")
    old = Missing(mean, "stale", "Potassium trend 4 mmol/L of 2026-11-01: older than 7 days.")
    assert read(mean, potassium(24 * 19, 4.0)) == old
    in_stays = statistic("mean", where="in_stays")
    absent = Missing(in_stays, "absent", "Potassium trend: not recorded in a stay in hospital.")
    assert read(in_stays, potassium(24, 4.0)) == absent
    refused = read(mean, potassium(24, 400.0))
    assert isinstance(refused, Missing)
    assert refused.reason == "refused"
    record = record_of(*VALUES, as_of=NOW)
    text = "Potassium trend: the part of the chart that says so is not available."
    for feature, requested in ((mean, {"Encounter"}), (in_stays, {"potassium"})):
        assert feature.read(record.with_requested(frozenset(requested))) == Missing(feature, "unknown", text)
    assert isinstance(mean.read(record.with_requested(frozenset({"potassium"}))), FeatureValue)
