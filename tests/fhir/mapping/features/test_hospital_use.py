"""The stay that is judged, how it began, and what came before it."""

from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureValue, Missing, map_features
from fhir.mapping.stays import Stay, stays_in_hospital
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.resources import Encounter
from tests.fhir.builders import encounter, record_of

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _visit(name: str, code: str, start: str | None, end: str | None, status: str | None = None, **more: Any) -> Any:
    period = {key: value for key, value in (("start", start), ("end", end)) if value}
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code}
    return encounter(class_, status or ("finished" if end else "in-progress"), id=name, period=period) | more


STAY = _visit("now", "IMP", "2026-11-13T20:00:00+00:00", None)


def _found(name: str, *resources: Any) -> FeatureValue | Missing:
    vector = map_features(record_of(*resources, as_of=NOW), (FEATURES[name],))
    return vector.evidence[0] or vector.missing[0]


def _value(name: str, *resources: Any) -> float:
    found = _found(name, *resources)
    assert isinstance(found, FeatureValue), found
    return found.value


def test_emergency_visits_of_the_half_year_before_count_without_the_one_that_led_to_the_stay() -> None:
    visits = [
        _visit("led", "EMER", "2026-11-13T15:00:00Z", "2026-11-13T20:10:00Z"),
        _visit("one", "EMER", "2026-10-01T15:00:00Z", "2026-10-01T20:10:00Z"),
        _visit("two", "EMER", "2026-06-01", "2026-06-01"),
        _visit("long-ago", "EMER", "2026-04-01", "2026-04-01"),
        _visit("planned", "EMER", "2026-10-05", None, status="planned"),
        _visit("clinic", "AMB", "2026-10-06", "2026-10-06"),
    ]
    assert _value("ed_visits_6m", STAY, *visits) == 2


def _contains(other: Stay, stay: Stay, as_of: float) -> bool:
    """The rule as a sentence: within a longer stay, closed at most a day after it."""
    begin, end = other.start.instant, other.until(as_of)
    inside = begin <= stay.start.instant < end and stay.until(as_of) <= end + DAY_SECONDS
    return inside and end - begin > stay.until(as_of) - stay.start.instant


_HOURS = st.integers(0, 240)


def _span(stay: Stay) -> tuple[float, float]:
    return stay.start.instant, stay.end.instant if stay.end is not None else inf


@given(spans=st.lists(st.tuples(_HOURS, st.one_of(st.none(), _HOURS)), max_size=12))
def test_the_parts_of_stays_are_those_that_comparing_all_pairs_finds(spans: list[tuple[int, int | None]]) -> None:
    def at(hours: int) -> str:
        return (NOW - timedelta(hours=241 - hours)).isoformat()

    visits = [
        _visit(f"v{number}", "IMP", at(begin), None if hours is None else at(begin + hours))
        for number, (begin, hours) in enumerate(spans)
    ]
    record = record_of(*visits, as_of=NOW)
    as_of = record.as_of_epoch
    all_stays = [Stay(each, _time(each, "start"), _time(each, "end")) for each in record.encounters]
    whole = [stay for stay in all_stays if not any(_contains(other, stay, as_of) for other in all_stays)]
    found = [_span(stay) for stay in stays_in_hospital(record)]
    assert sorted(found) == sorted({_span(stay) for stay in whole})  # what begins and ends together is one stay


def _time(encounter: Encounter, side: str) -> Any:
    text = getattr(encounter.period, side)
    return parse_time(text) if text else None
