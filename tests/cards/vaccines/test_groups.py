"""One forecast for a vaccine group out of those of its antigens, by CDC's tables 9-2 to 9-5, worked out by hand."""

from collections.abc import Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cards.vaccines.forecasting import Forecast, SeriesStatus
from cards.vaccines.groups import GroupForecast, _blend, _earliest, _numbered, _status
from cards.vaccines.knowledge import Period, VaccineGroup
from cards.vaccines.patient import Person
from cards.vaccines.selection import Candidate
from maintenance.vaccine_cases import leading_forecast

OPEN, COMPLETE, IMMUNE = SeriesStatus.NOT_COMPLETE, SeriesStatus.COMPLETE, SeriesStatus.IMMUNE
AGED_OUT, AGAINST, NOT_WANTED = SeriesStatus.AGED_OUT, SeriesStatus.CONTRAINDICATED, SeriesStatus.NOT_RECOMMENDED
PERSON = Person(date(2000, 1, 1))


def _day(number: int) -> date:
    return date(2026, 1, number)


def _group(*antigens: str, full: bool = False) -> VaccineGroup:
    return cast(VaccineGroup, SimpleNamespace(antigens=antigens, full=full))


class _Doses:
    """What these functions ask a course for."""

    def __init__(self, valid: Sequence[object], *, seasonal: bool) -> None:
        self.valid, self.valid_doses = valid, len(valid)
        self.current = SimpleNamespace(rule=SimpleNamespace(season_start=_day(1) if seasonal else None))


def _candidate(
    forecast: Forecast, kind: str = "Standard", group: str = "1", valid: Sequence[object] = (), **more: Any
) -> Candidate:
    series = SimpleNamespace(type=kind, group=group, min_age_to_start=more.get("from_age"))
    course = _Doses(valid, seasonal=more.get("seasonal", False))
    return Candidate(cast(Any, series), cast(Any, course), forecast)


def _open(number: int = 1, earliest: date | None = None, **more: Any) -> Forecast:
    return Forecast(OPEN, dose_number=number, earliest=earliest, **more)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((OPEN, COMPLETE), OPEN), ((COMPLETE, COMPLETE), COMPLETE), ((IMMUNE, IMMUNE), IMMUNE),
        ((IMMUNE, COMPLETE), COMPLETE), ((AGAINST, OPEN), AGAINST), ((AGED_OUT, OPEN), AGED_OUT),
        ((NOT_WANTED, OPEN), NOT_WANTED), ((AGED_OUT, AGAINST), AGAINST), ((NOT_WANTED, AGED_OUT), AGED_OUT),
        ((IMMUNE, OPEN), OPEN),
    ],
)  # fmt: skip
def test_the_status_of_a_group(statuses: tuple[SeriesStatus, ...], expected: SeriesStatus) -> None:
    assert _status([Forecast(status) for status in statuses]) is expected


@pytest.mark.parametrize(
    ("forecasts", "latest", "antigens", "expected"),
    [
        ([_open()], None, "A", None),
        ([_open(earliest=_day(5)), _open(earliest=_day(9))], None, "A", _day(5)),
        ([_open(earliest=_day(5)), _open(earliest=_day(9)), _open()], _day(7), "AB", _day(9)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], None, "AB", _day(5)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], _day(7), "AB", _day(7)),
        ([_open(earliest=_day(5), priority=True), _open(earliest=_day(9))], _day(2), "AB", _day(5)),
    ],
)
def test_the_earliest_day_of_a_group(
    forecasts: list[Forecast], latest: date | None, antigens: str, expected: date | None
) -> None:
    assert _earliest(forecasts, latest, _group(*antigens)) == expected


@pytest.mark.parametrize("status", [COMPLETE, IMMUNE, AGED_OUT, AGAINST, NOT_WANTED])
def test_a_group_that_needs_nothing_has_no_dates(status: SeriesStatus) -> None:
    one = _candidate(Forecast(status, dose_number=3, earliest=_day(5)))
    two = _candidate(Forecast(status, dose_number=3, earliest=_day(5)))
    assert _blend("G", "Standard", (one,), None, _group("A")) == GroupForecast("G", "Standard", status, (one,))
    both = _blend("G", "Standard", (one, two), None, _group("A", "B"))
    assert both == GroupForecast("G", "Standard", status, (one, two))


@pytest.mark.parametrize(("full", "number"), [(True, 2), (False, 4)])
def test_several_antigens_are_put_together(full: bool, number: int) -> None:
    items = (
        _candidate(_open(2, _day(5), recommended=_day(6), past_due=_day(20), vaccines=("1", "2"))),
        _candidate(_open(4, _day(9), recommended=_day(8), past_due=_day(21), vaccines=("2", "3"))),
        _candidate(Forecast(COMPLETE, dose_number=9, recommended=_day(1), vaccines=("9",))),
    )
    assert _blend("G", "Standard", items, None, _group("A", "B", "C", full=full)) == GroupForecast(
        "G", "Standard", OPEN, items, number, _day(9), _day(9), _day(20), ("1", "2", "3")
    )
    plain = (_candidate(_open(2, _day(5))), _candidate(_open(4, _day(9))))
    blended = _blend("G", "Standard", plain, None, _group("A", "B"))
    assert (blended.recommended, blended.past_due) == (_day(9), None)


def test_intervals_that_go_before_others_count_from_the_last_dose_of_the_group() -> None:
    item = _candidate(_open(2, _day(5), priority=True))
    assert _blend("G", "Standard", (item,), _day(8), _group("A", "B")).earliest == _day(8)
    assert _blend("G", "Standard", (item,), _day(8), _group("A")).earliest == _day(5)


def test_a_risk_dose_is_numbered_after_every_dose_that_counts() -> None:
    doses = [object(), object(), object()]
    standard = _candidate(_open(9), valid=doses)
    risk = _candidate(_open(1), "Risk", valid=doses[:1])
    assert list(_numbered([standard])) == [standard]
    numbered = list(_numbered([standard, risk]))
    assert (numbered[0], numbered[1].forecast.dose_number) == (standard, 4)
    of_a_season = _candidate(_open(1), "Risk", seasonal=True)
    without_number = _candidate(Forecast(COMPLETE), "Risk")
    assert list(_numbered([standard, of_a_season, without_number])) == [standard, of_a_season, without_number]


# The forecast that stands for a group


def _forecast(
    status: SeriesStatus = OPEN, kind: str = "Standard", group: str = "1", years: int | None = None, given: int = 0
) -> GroupForecast:
    from_age = None if years is None else Period(years=years)
    item = _candidate(Forecast(status), kind, group, [object()] * given, from_age=from_age)
    return GroupForecast("G", kind, status, (item,))


@pytest.mark.parametrize(("years", "given", "begins"), [(None, 0, True), (26, 0, True), (27, 0, False), (27, 1, True)])
def test_a_series_begins_at_its_age_or_when_it_was_begun(years: int | None, given: int, begins: bool) -> None:
    assert _forecast(years=years, given=given).begins_by(PERSON, date(2026, 1, 1)) is begins


def test_the_leading_forecast_is_of_the_age_not_aged_out_and_of_the_risk() -> None:
    standard, risk, later = _forecast(), _forecast(kind="Risk"), _forecast(kind="Risk", years=50)
    aged_out, second = _forecast(AGED_OUT, "Risk"), _forecast(group="2")
    today = date(2026, 1, 1)
    assert leading_forecast([], PERSON, today) is None
    assert leading_forecast([standard, risk], PERSON, today) is risk
    assert leading_forecast([standard, later], PERSON, today) is standard
    assert leading_forecast([later], PERSON, today) is later
    assert leading_forecast([standard, aged_out], PERSON, today) is standard
    assert leading_forecast([aged_out], PERSON, today) is aged_out
    assert leading_forecast([second, standard], PERSON, today) is second
