"""FHIR Timing as times per day: every way to say twice a day is the same, and contradictions are not known."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fhir.mapping.medications.active import (
    active_medications,
    days_valid,
    ended_medications,
    forgotten_orders,
    is_new_start,
    is_recent_start,
    last_order_after,
    order_end,
    orders_ever_taken,
    orders_not_active,
)
from fhir.mapping.medications.dosage import Schedule, occurrence_days, read_timing
from fhir.mapping.medications.sig import AS_NEEDED_WITHOUT_FREQUENCY, CONTRADICTION, DoseProblem
from fhir.record.datatypes import parse_time
from fhir.record.refusals import Refusal
from fhir.record.resources import MedicationRequest
from tests.fhir.builders import administration, coded, dispense, lean, order, record_of, request, statement


def _schedule(**timing: Any) -> Schedule:
    draft: MedicationRequest = order("x", {"timing": timing})
    read = draft.dosageInstruction[0].timing
    assert read is not None
    return read_timing(read)


def _code(code: str, system: str = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@pytest.mark.parametrize(
    ("code", "times"),
    [("BID", 2), ("TID", 3), ("QID", 4), ("AM", 1), ("PM", 1), ("QD", 1), ("QOD", 0.5), ("Q1H", 24), ("Q2H", 12),
     ("Q3H", 8), ("Q4H", 6), ("Q6H", 4), ("Q8H", 3), ("BED", 1), ("WK", 1 / 7), ("MO", 1 / 30.4375),
     ("Q 12H", 2), ("Q48H", 0.5), ("DAILY", 1), ("QHS", 1), ("bid", 2)],
)  # fmt: skip
def test_a_timing_code_is_understood(code: str, times: float) -> None:
    schedule = _schedule(code=_code(code))
    assert schedule.high == pytest.approx(times)
    assert schedule.low == schedule.high


@pytest.mark.parametrize("code", ["ASDIR", "INFUSION", "TITRATE TO", "ON CALL", "XYZ", "ONCE MR1"])
def test_an_unknown_code_is_not_guessed(code: str) -> None:
    assert not _schedule(code=_code(code)).is_known


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("ONCE MR1", "one dose that may be repeated, and not when"),
        ("INFUSION", "a continuous infusion without a rate that can be read"),
        ("TITRATE TO RASS", "the dose is titrated"),
        ("Q2H PER SLIDING SCALE", "a sliding scale: the dose depends on what is measured"),
        ("HD PROTOCOL", "given by a protocol or on call"),
        ("ON CALL", "given by a protocol or on call"),
        ("ASDIR", "the words leave the dose open"),
        ("PRN", "as needed without a frequency"),
    ],
)
def test_a_code_that_is_no_frequency_says_what_it_is(code: str, problem: str) -> None:
    # FHIR's duration says how long each one takes, and so nothing about how often.
    schedule = _schedule(code=_code(code), repeat={"duration": 5, "durationUnit": "h"})
    assert (schedule.is_known, str(schedule.problem)) == (False, problem)
    assert schedule.as_needed is (code == "PRN")


def test_a_local_code_can_say_as_needed() -> None:
    schedule = _schedule(code=_code("Q6H:PRN"))
    assert (schedule.high, schedule.as_needed) == (4.0, True)


def test_the_text_of_a_code_is_read() -> None:
    assert _schedule(code={"text": "twice daily"}).high == 2.0


@pytest.mark.parametrize(
    "timing", [{"code": _code("ONCE")}, {"repeat": {"count": 1}}, {"event": ["2026-11-20T10:00:00Z"]}]
)
def test_one_dose_is_single(timing: dict[str, Any]) -> None:
    schedule = _schedule(**timing)
    assert (schedule.single, schedule.days, schedule.high) == (True, 1.0, 1.0)


@pytest.mark.parametrize(
    ("repeat", "low", "high"),
    [
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, 2, 2),
        ({"period": 1, "periodUnit": "d"}, 1, 1),
        ({"frequency": 1, "period": 12, "periodUnit": "h"}, 2, 2),
        ({"frequency": 1, "period": 4, "periodMax": 6, "periodUnit": "h"}, 4, 6),
        ({"frequency": 2, "frequencyMax": 3, "period": 1, "periodUnit": "d"}, 2, 3),
        ({"frequency": 1, "period": 1, "periodUnit": "wk"}, 1 / 7, 1 / 7),
        ({"frequency": 1, "period": 3, "periodUnit": "d"}, 1 / 3, 1 / 3),
        ({"frequency": 1, "period": 1, "periodUnit": "mo"}, 1 / 30.4375, 1 / 30.4375),
        ({"timeOfDay": ["08:00:00", "20:00:00"]}, 2, 2),
        ({"frequency": 2, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00", "20:00:00"]}, 2, 2),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00", "20:00:00"]}, 1, 2),
        ({"when": ["MORN", "HS"]}, 2, 2),
        ({"frequency": 3, "period": 1, "periodUnit": "d", "when": ["AC"]}, 3, 3),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "when": ["HS"]}, 1, 1),
        ({"dayOfWeek": ["mon"]}, 1 / 7, 1 / 7),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "dayOfWeek": ["mon", "wed", "fri"]}, 3 / 7, 3 / 7),
        ({"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]}, 1 / 7, 1 / 7),
        ({"dayOfWeek": ["mon", "thu"], "timeOfDay": ["08:00:00", "20:00:00"]}, 4 / 7, 4 / 7),
    ],
)
def test_a_repeat_is_understood(repeat: dict[str, Any], low: float, high: float) -> None:
    schedule = _schedule(repeat=repeat)
    assert schedule.low == pytest.approx(low)
    assert schedule.high == pytest.approx(high)


@pytest.mark.parametrize(
    "repeat",
    [
        {"frequency": 2},
        {"frequency": 2, "period": 1},
        {"frequency": 2, "period": 1, "periodUnit": "fortnight"},
        {"frequency": 2, "period": 0, "periodUnit": "d"},
        {"duration": 3, "durationUnit": "d"},
        {"boundsDuration": {"value": 5, "code": "d"}},
        {},
    ],
)
def test_a_repeat_that_does_not_say_how_often_is_not_guessed(repeat: dict[str, Any]) -> None:
    schedule = _schedule(repeat=repeat)
    assert not schedule.is_known
    assert schedule.problem


def test_a_period_of_nothing_is_said_so() -> None:
    assert str(_schedule(repeat={"frequency": 2, "period": 0, "periodUnit": "d"}).problem) == "the period is 0 or less"


@pytest.mark.parametrize(
    ("bounds", "days"),
    [
        ({"boundsDuration": {"value": 5, "code": "d"}}, 5),
        ({"boundsDuration": {"value": 2, "unit": "weeks"}}, 14),
        ({"boundsDuration": {"value": 2, "unit": "moons"}}, None),
        ({"boundsPeriod": {"start": "2026-11-20", "end": "2026-11-26"}}, 7),
        ({"boundsPeriod": {"start": "2026-11-20T08:00:00Z", "end": "2026-11-25T08:00:00Z"}}, 5),
        ({"boundsPeriod": {"start": "2026-11-20"}}, None),
        ({"boundsPeriod": {"start": "2026-11-20", "end": "2026-11-01"}}, None),
        ({"boundsRange": {"low": {"value": 5, "code": "d"}, "high": {"value": 7, "code": "d"}}}, 7),
        ({"count": 10}, 5),
    ],
)
def test_how_long_is_read(bounds: dict[str, Any], days: float | None) -> None:
    assert _schedule(repeat={"frequency": 2, "period": 1, "periodUnit": "d"} | bounds).days == days


def test_a_code_keeps_the_bounds_of_the_repeat() -> None:
    schedule = _schedule(code=_code("BID"), repeat={"boundsDuration": {"value": 5, "code": "d"}})
    assert (schedule.high, schedule.days) == (2.0, 5.0)


def test_code_and_repeat_may_agree_but_not_contradict() -> None:
    twice = {"frequency": 2, "period": 1, "periodUnit": "d"}
    assert _schedule(code=_code("BID"), repeat=twice).high == 2.0
    contradiction = _schedule(code=_code("TID"), repeat=twice)
    assert (contradiction.is_known, str(contradiction.problem)) == (
        False,
        "timing code and repeat contradict each other",
    )


@pytest.mark.parametrize(
    ("period", "unit"), [(1e308, "d"), (1e308, "a"), (5e-324, "h"), (5e-324, "a"), (1e-9, "d"), (101, "a")]
)
def test_a_period_of_less_than_a_second_or_more_than_a_century_is_not_read(period: float, unit: str) -> None:
    schedule = _schedule(repeat={"frequency": 2, "period": period, "periodUnit": unit, "count": 3})
    assert (schedule.is_known, str(schedule.problem)) == (False, "the period cannot be right")
    longest = _schedule(repeat={"frequency": 2, "period": 1, "periodMax": 1e308, "periodUnit": "d"})
    assert str(longest.problem) == "the period cannot be right"


@pytest.mark.parametrize(
    ("repeat", "schedule"),
    [
        ({"frequency": 2, "period": 1, "periodUnit": "d"}, Schedule(2.0, 2.0)),
        ({"period": 8, "periodUnit": "h"}, Schedule(3.0, 3.0)),
        ({"frequency": 1, "frequencyMax": 3, "period": 1, "periodUnit": "d"}, Schedule(1.0, 3.0)),
        ({"frequency": 3, "frequencyMax": 1, "period": 1, "periodUnit": "d"}, Schedule(3.0, 3.0)),
        ({"frequency": 1, "period": 4, "periodMax": 6, "periodUnit": "h"}, Schedule(4.0, 6.0)),
        ({"frequency": 1, "period": 6, "periodMax": 4, "periodUnit": "h"}, Schedule(4.0, 4.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]},
         Schedule(1 / 7, 1 / 7, on_days=frozenset({"mon"}))),
        ({"frequency": 7, "period": 1, "periodUnit": "d", "dayOfWeek": ["mon"]},
         Schedule(1.0, 1.0, on_days=frozenset({"mon"}))),
        ({"dayOfWeek": ["mon", "thu", "mon"]}, Schedule(2 / 7, 2 / 7, on_days=frozenset({"mon", "thu"}))),
        ({"timeOfDay": ["08:00:00", "20:00:00", "08:00:00"]}, Schedule(2.0, 2.0)),
        ({"timeOfDay": ["08:00:00"], "dayOfWeek": ["sun"]}, Schedule(1 / 7, 1 / 7, on_days=frozenset({"sun"}))),
        ({"when": ["MORN", "EVE"]}, Schedule(2.0, 2.0)),
        ({"when": ["AC"]}, Schedule(3.0, 3.0)),
        ({"when": ["AC", "HS"]}, Schedule(4.0, 4.0)),
        ({"when": ["AC", "CM"]}, Schedule(problem=DoseProblem("timing does not say how often"))),
        ({"when": ["AC"], "frequency": 1, "period": 1, "periodUnit": "d"}, Schedule(1.0, 1.0)),
        ({"when": ["MORN", "EVE"], "frequency": 1, "period": 1, "periodUnit": "d"}, Schedule(1.0, 2.0)),
        ({"count": 1}, Schedule(1.0, 1.0, single=True, days=1.0)),
        ({"count": 1, "countMax": 1}, Schedule(1.0, 1.0, single=True, days=1.0)),
        ({"count": 1, "countMax": 2}, Schedule(problem=DoseProblem("timing does not say how often"))),
        ({"count": 2}, Schedule(problem=DoseProblem("timing does not say how often"))),
        ({"count": 1, "period": 1, "periodUnit": "x"}, Schedule(problem=DoseProblem("the unit of the period is 'x'"))),
        ({"count": 6, "frequency": 2, "period": 1, "periodUnit": "d"}, Schedule(2.0, 2.0, days=3.0)),
        ({"count": 6, "countMax": 8, "frequency": 2, "period": 1, "periodUnit": "d"}, Schedule(2.0, 2.0, days=4.0)),
        ({"count": 4, "frequency": 1, "period": 1, "periodUnit": "h"}, Schedule(4.0, 4.0, days=4 / 24)),
        ({"frequency": 2}, Schedule(problem=DoseProblem("frequency without a period"))),
        ({"frequency": 2, "period": 1}, Schedule(problem=DoseProblem("the unit of the period is missing"))),
        ({"frequency": 2, "period": 0, "periodUnit": "d"}, Schedule(problem=DoseProblem("the period is 0 or less"))),
        ({"period": 1, "periodUnit": "s"}, Schedule(86_400.0, 86_400.0)),
        ({"period": 0.9, "periodUnit": "s"}, Schedule(problem=DoseProblem("the period cannot be right"))),
        ({"period": 36_525, "periodUnit": "d"}, Schedule(1 / 36_525, 1 / 36_525)),
        ({"period": 36_526, "periodUnit": "d"}, Schedule(problem=DoseProblem("the period cannot be right"))),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsDuration": {"value": 2, "code": "wk"}},
         Schedule(1.0, 1.0, days=14.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d",
          "boundsRange": {"low": {"value": 3, "code": "d"}, "high": {"value": 5, "code": "d"}}},
         Schedule(1.0, 1.0, days=5.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsRange": {"low": {"value": 3, "unit": "days"}}},
         Schedule(1.0, 1.0, days=3.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2026-11-01", "end": "2026-11-03"}},
         Schedule(1.0, 1.0, days=3.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d",
          "boundsPeriod": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-03T12:00:00Z"}},
         Schedule(1.0, 1.0, days=2.5)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2026-11-03", "end": "2026-11-01"}},
         Schedule(1.0, 1.0)),
        ({"count": 1, "boundsDuration": {"value": 3, "code": "d"}}, Schedule(1.0, 1.0, single=True, days=3.0)),
    ],
)  # fmt: skip
def test_a_repeat_is_read_whole(repeat: dict[str, Any], schedule: Schedule) -> None:
    read = _schedule(repeat=repeat)
    assert (read.low, read.high, read.days) == (
        pytest.approx(schedule.low) if schedule.low else schedule.low,
        pytest.approx(schedule.high) if schedule.high else schedule.high,
        pytest.approx(schedule.days) if schedule.days else schedule.days,
    )
    assert msgspec.structs.replace(read, low=None, high=None, days=None) == msgspec.structs.replace(
        schedule, low=None, high=None, days=None
    )


@pytest.mark.parametrize(
    ("timing", "schedule"),
    [
        ({"event": ["2026-11-20"]}, Schedule(1.0, 1.0, single=True, days=1.0)),
        ({"event": ["2026-11-20", "2026-11-21"]}, Schedule()),
        ({}, Schedule()),
        ({"code": _code("BID"), "repeat": {"boundsDuration": {"value": 5, "code": "d"}, "dayOfWeek": ["mon"]}},
         Schedule(problem=CONTRADICTION, days=5.0)),
        ({"code": _code("BID"), "repeat": {"boundsDuration": {"value": 5, "code": "d"}}}, Schedule(2.0, 2.0, days=5.0)),
        ({"code": _code("BID"), "repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}, Schedule(2.0, 2.0)),
        ({"code": _code("BID"), "repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}},
         Schedule(problem=CONTRADICTION)),
        ({"code": {"text": "twice daily as needed"}, "repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
         Schedule(2.0, 2.0, as_needed=True)),
        ({"code": {"text": "once"}}, Schedule(1.0, 1.0, single=True, days=1.0)),
        ({"code": {"text": "as needed"}, "repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
         Schedule(2.0, 2.0, as_needed=True, problem=AS_NEEDED_WITHOUT_FREQUENCY)),
    ],
)  # fmt: skip
def test_a_code_and_a_repeat_are_one_schedule_or_a_contradiction(timing: dict[str, Any], schedule: Schedule) -> None:
    assert _schedule(**timing) == schedule


@pytest.mark.parametrize(
    ("repeat", "days"),
    [
        ({"duration": 12, "durationUnit": "h"}, 0.5),
        ({"duration": 12, "durationMax": 24, "durationUnit": "h"}, None),
        ({"duration": 0, "durationUnit": "h"}, None),
        ({"duration": 12}, None),
        ({}, None),
    ],
)
def test_an_occurrence_lasts_as_long_as_it_says(repeat: dict[str, Any], days: float | None) -> None:
    draft = order("x", {"timing": {"repeat": repeat}})
    assert occurrence_days(draft.dosageInstruction[0].timing) == days
    assert occurrence_days(None) is None


# When an order begins and ends, which one was the last, and whether a drug is new: on the day and beside it.
METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
RXCUI = "6809"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def bounds(**period: str) -> dict[str, Any]:
    return {"timing": {"repeat": {"boundsPeriod": period}}}


def valid(**period: str) -> dict[str, Any]:
    return {"dispenseRequest": {"validityPeriod": period}}


@pytest.mark.parametrize(
    ("resource", "end"),
    [
        (request(METFORMIN), None),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10")]), "2026-11-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10T08:00:00Z")]), "2026-11-10T08:00"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), bounds(end="2026-12-10")]), "2026-12-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), bounds(start="2026-12-10")]), None),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), {"text": "x"}]), None),
        (request(METFORMIN, dosageInstruction=[{"text": "x"}], **valid(end="2026-11-12")), "2026-11-13"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10")], **valid(end="2026-11-12")), "2026-11-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), {"text": "x"}], **valid(end="2026-11-12")),
         "2026-11-13"),
        (request(METFORMIN, dispenseRequest={}), None),
        (statement(METFORMIN), None),
        (statement(METFORMIN, effectivePeriod={"start": "2026-01-01", "end": "2026-11-10"}), "2026-11-11"),
        (dispense(METFORMIN), "2026-12-02"),
        (dispense(METFORMIN, daysSupply={"value": 2, "unit": "wk", "code": "wk"}), "2026-11-16"),
        (dispense(METFORMIN, daysSupply=None), "2027-01-31"),  # 90 days and the last one
        (dispense(METFORMIN, whenHandedOver=None, whenPrepared="2026-11-02"), "2026-12-03"),
        (dispense(METFORMIN, whenHandedOver=None), "1970-01-01"),
        (administration(METFORMIN), "2026-11-22"),
        (administration(METFORMIN, effectiveDateTime="2026-11-19T08:00:00Z"), "2026-11-21T08:00"),
        (administration(METFORMIN, effectivePeriod={"start": "2026-11-18", "end": "2026-11-20T08:00:00Z"}),
         "2026-11-22T08:00"),
        (administration(METFORMIN, effectivePeriod={"start": "2026-11-18"}), "2026-11-21"),
        (administration(METFORMIN, effectiveDateTime=None), "1970-01-01"),
    ],
)  # fmt: skip
def test_an_order_ends_with_its_bounds_its_validity_or_its_supply(resource: dict[str, Any], end: str | None) -> None:
    order = lean({name: part for name, part in resource.items() if part is not None})
    assert order_end(order) == (at(end) if end is not None else None)


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ({"start": "2026-11-01", "end": "2026-11-10"}, 10.0),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T12:00:00Z"}, 1.5),
        ({"start": "2026-11-01"}, None),
        ({"end": "2026-11-01"}, None),
        ({"start": "2026-11-02", "end": "2026-11-01"}, None),
        ({"start": "2026-11-02", "end": "2026-11-02"}, 1.0),
        ({"start": "2026-11-02T08:00:00Z", "end": "2026-11-02T08:00:00Z"}, None),
    ],
)
def test_a_validity_has_its_days(period: dict[str, str], days: float | None) -> None:
    assert days_valid(lean(request(METFORMIN, **valid(**period)))) == days
    assert days_valid(lean(request(METFORMIN))) is None


@pytest.mark.parametrize(
    ("resource", "is_new"),
    [
        (request(METFORMIN, authoredOn="2020-01-01"), False),  # active: it is being taken
        (request(METFORMIN, authoredOn="2020-01-01", **valid(end="2020-02-01")), True),
        (request(METFORMIN, status="completed", authoredOn="2026-05-24"), False),  # 180 days ago
        (request(METFORMIN, status="completed", authoredOn="2026-05-23"), True),
        (request(METFORMIN, status="completed", authoredOn="2026-01-01", **valid(end="2026-08-01")), False),
        (request(METFORMIN, status="completed", authoredOn=None), True),
        (request(METFORMIN, status="cancelled"), True),
        (request(METFORMIN, intent="proposal"), True),
        (request(METFORMIN, authoredOn="2026-12-01"), True),
        (request("warfarin"), True),
        (statement(METFORMIN, status="not-taken"), True),
        (statement(METFORMIN, status="stopped", effectiveDateTime="2026-06-01"), False),
        (statement(METFORMIN), False),
        (dispense(METFORMIN), False),
        (dispense(METFORMIN, status="cancelled"), True),
        (dispense(METFORMIN, whenHandedOver="2026-01-01"), True),
        (administration(METFORMIN), False),
        (administration(METFORMIN, status="not-done"), True),
    ],
)
def test_a_drug_is_new_where_it_was_not_taken_for_180_days(resource: dict[str, Any], is_new: bool) -> None:
    record = record_of({name: part for name, part in resource.items() if part is not None})
    assert is_new_start(record, RXCUI) is is_new
    source = f"{resource['resourceType']}/{resource['id']}"
    assert is_new_start(record, RXCUI, besides=source)


@pytest.mark.parametrize(
    ("resources", "is_recent"),
    [
        ((), True),
        ((request(METFORMIN, authoredOn="2026-11-06"),), True),  # 14 days
        ((request(METFORMIN, authoredOn="2026-11-05"),), False),
        ((request(METFORMIN, authoredOn="2026-11-18", dosageInstruction=[bounds(start="2026-10-01")]),), False),
        ((statement(METFORMIN),), None),
        ((statement(METFORMIN), request(METFORMIN, authoredOn="2026-11-05")), False),
        ((statement(METFORMIN, effectivePeriod={"start": "2026-11-05"}),), False),
    ],
)
def test_a_drug_is_begun_lately_where_no_order_of_it_is_older(
    resources: tuple[dict[str, Any], ...], is_recent: bool | None
) -> None:
    record = record_of(*resources)
    assert is_recent_start(record, RXCUI, 14) is is_recent
    assert is_recent_start(record, RXCUI, 14) is is_recent


def test_every_order_that_was_taken_has_its_source() -> None:
    never = request(METFORMIN, "m2", status="cancelled"), dispense(METFORMIN, "d2", whenHandedOver="")
    record = record_of(request(METFORMIN), statement(METFORMIN), dispense(METFORMIN), administration(METFORMIN), *never)
    assert [source for source, _ in orders_ever_taken(record, RXCUI)] == [
        "MedicationRequest/m1", "MedicationStatement/s1", "MedicationDispense/d1", "MedicationAdministration/a1",
    ]  # fmt: skip
    assert orders_ever_taken(record, "161") == ()


@pytest.mark.parametrize(
    ("day", "last"),
    [("2026-01-01", "2026-11-19"), ("2026-11-18", "2026-11-19"), ("2026-11-19", None), ("2026-11-25", None)],
)
def test_the_last_order_after_a_day_and_before_the_day_of_the_call(day: str, last: str | None) -> None:
    orders = [
        request(METFORMIN, f"m{when[-2:]}", authoredOn=when) for when in ("2026-10-01", "2026-11-19", "2026-11-20")
    ]
    since = parse_time(day)
    assert since is not None
    found = last_order_after(record_of(*orders), RXCUI, since)
    assert (found.date if found is not None else None) == last


# Which orders are over, recent, replaced or supplied, worked out by hand to the day and the second.


W = "11289"


def _sources(*resources: dict[str, Any], as_of: datetime | None = None) -> list[str]:
    record = record_of(*resources) if as_of is None else record_of(*resources, as_of=as_of)
    return [medication.source for medication in active_medications(record)]


def _epoch(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


def _bounds(*periods: dict[str, str] | None) -> dict[str, Any]:
    return {
        "dosageInstruction": [
            {"timing": {"repeat": {"boundsPeriod": period}}} if period is not None else {"text": "daily"}
            for period in periods
        ]
    }


def _valid(**period: str) -> dict[str, Any]:
    return {"dispenseRequest": {"validityPeriod": period}}


# When an order ends.


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, None),
        ({"dispenseRequest": {}}, None),
        (_valid(start="2026-11-01"), None),
        (_valid(end="2026-11-10"), _epoch(2026, 11, 11)),
        (_valid(end="2026-11-10T12:00:00Z"), _epoch(2026, 11, 10, 12)),
        (_valid(end="2026-11"), _epoch(2026, 12, 1)),
        (_valid(end="2026"), _epoch(2027, 1, 1)),
        (_valid(end="fnord"), None),
        (_bounds({"end": "2026-11-10"}), _epoch(2026, 11, 11)),
        (_bounds({"end": "2026-11-10"}, {"end": "2026-11-12"}), _epoch(2026, 11, 13)),
        (_bounds({"end": "2026-11-10"}, {"start": "2026-11-12"}), None),
        (_bounds({"end": "2026-11-10"}) | _valid(end="2026-11-20"), _epoch(2026, 11, 11)),
        (_bounds({"end": "2026-11-10"}, None) | _valid(end="2026-11-20"), _epoch(2026, 11, 21)),
        (_bounds({"end": "2026-11-10"}, None), None),
        ({"dosageInstruction": [{"timing": {}}]} | _valid(end="2026-11-20"), _epoch(2026, 11, 21)),
    ],
)
def test_when_an_order_ends(more: dict[str, Any], end: float | None) -> None:
    assert order_end(lean(request("warfarin", **more))) == end


# Since when a statement holds.


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"effectiveDateTime": "2026-11-01", "dateAsserted": "2026-11-05"}, "2026-11-01"),
        ({"effectivePeriod": {"start": "2026-11-02"}, "dateAsserted": "2026-11-05"}, "2026-11-02"),
        ({"effectivePeriod": {"end": "2026-12-02"}, "dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({"dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({}, None),
    ],
)
def test_since_when_a_statement_holds(more: dict[str, Any], text: str | None) -> None:
    (entry,) = active_medications(record_of(statement("warfarin", **more)))
    assert (entry.authored.text if entry.authored is not None else None) == text


# What repeats what.

LISTED = request("warfarin 5 MG Oral Tablet")


@pytest.mark.parametrize(
    ("words", "repeats"),
    [
        ("warfarin", True),
        ("warfarin 5 MG Oral Tablet", True),
        ("warfarin 3 MG Oral Tablet", False),
        ("metformin", False),
        ("warfarin ophthalmic ointment", False),
        ("herbal drops", False),
    ],
)
def test_a_statement_that_repeats_an_order_is_not_listed(words: str, repeats: bool) -> None:
    expected = ["MedicationRequest/m1"] if repeats else ["MedicationRequest/m1", "MedicationStatement/s1"]
    assert _sources(LISTED, statement(words)) == expected


def test_a_statement_beside_an_order_that_is_not_recognised_is_listed() -> None:
    assert _sources(request("herbal drops"), statement("herbal drops")) == [
        "MedicationRequest/m1",
        "MedicationStatement/s1",
    ]


# Forgotten orders.


@pytest.mark.parametrize(
    ("written", "more", "is_forgotten"),
    [
        ("2016-11-20", {}, False),  # 3652 days, and ten years are 3652.5
        ("2016-11-19", {}, True),
        ("2001-01-01", {}, True),
        ("2001-01-01", _valid(end="2027-01-01"), False),
    ],
)
def test_an_order_of_over_ten_years_ago_is_forgotten(written: str, more: dict[str, Any], is_forgotten: bool) -> None:
    record = record_of(request("warfarin", authoredOn=written, **more))
    assert bool(active_medications(record)) is not is_forgotten
    assert [order.source for order in forgotten_orders(record)] == ["MedicationRequest/m1"] * is_forgotten
    text = f"warfarin was ordered on {written} and has no end: whether it is still taken is not known."
    assert record.refusals == (Refusal("MedicationRequest/m1", "order-too-old", text),) * is_forgotten


# What was given out or given.


@pytest.mark.parametrize(
    ("supply", "is_listed"),
    [
        (dispense(METFORMIN), True),
        (dispense(METFORMIN, status="in-progress"), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m1"}]), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "https://h/MedicationRequest/m1"}]), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m7"}]), True),
        (dispense(METFORMIN, authorizingPrescription=[{"display": "m1"}]), True),
        (dispense(METFORMIN, whenHandedOver="2026-10-21"), True),
        (dispense(METFORMIN, whenHandedOver="2026-10-20"), False),
        (dispense(METFORMIN, whenHandedOver="fnord"), False),
        (dispense(METFORMIN, whenHandedOver="2026-12-01"), False),
        (dispense("warfarin"), False),
        (dispense("herbal drops"), True),
        (administration(METFORMIN), True),
        (administration(METFORMIN, status="in-progress"), True),
        (administration(METFORMIN, status="not-done"), False),
        (administration(METFORMIN, effectiveDateTime="2026-11-18"), True),
        (administration(METFORMIN, effectiveDateTime="2026-11-17"), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m1"}), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m7"}), True),
    ],
)
def test_a_supply_is_listed_where_no_order_tells_of_it(supply: dict[str, Any], is_listed: bool) -> None:
    source = f"{supply['resourceType']}/{supply['id']}"
    assert _sources(LISTED, supply) == ["MedicationRequest/m1", *([source] * is_listed)]


# What ended.


@pytest.mark.parametrize(
    ("resource", "ended"),
    [
        (request("warfarin", **_valid(end="2026-11-10")), "2026-11-10"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-10")), "2026-11-10"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-20")), "2026-11-20"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-21")), None),
        (request("warfarin", **_valid(end="2026-11-20")), None),  # it goes on to the end of that day
        (request("warfarin", status="cancelled", **_valid(end="2026-11-10")), None),
        (request("warfarin", **_valid(end="2026-10-21T09:00:00Z")), "2026-10-21T09:00:00Z"),
        (request("warfarin", **_valid(end="2026-10-21T08:59:59Z")), None),
        (request("warfarin", **_valid(end="fnord")), None),
        (request("warfarin", **_valid(start="2026-11-10")), None),
        (request("warfarin", **_bounds({"end": "2026-11-10"}, {"end": "2026-11-08"})), "2026-11-10"),
        (request("warfarin", status="stopped"), None),
        (statement("warfarin", status="completed", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", status="not-taken", effectivePeriod={"end": "2026-11-10"}), None),
    ],
)
def test_what_ended_in_the_last_thirty_days(resource: dict[str, Any], ended: str | None) -> None:
    entries = ended_medications(record_of(resource), 30.0)
    assert [entry.ended.text if entry.ended is not None else None for entry in entries] == [ended] * (ended is not None)


def test_what_is_over_or_on_hold_is_named_the_newest_first() -> None:
    record = record_of(
        request("warfarin", "m1", status="stopped", authoredOn="2026-01-01"),
        request("warfarin", "m2", status="on-hold", authoredOn="2026-03-01"),
        request("warfarin", "m3", status="completed", authoredOn=None),
        request("warfarin", "m4"),
        request("warfarin", "m5", status="stopped", intent="proposal"),
        request("warfarin", "m6", status="cancelled"),
        statement("warfarin", "s1", status="completed", effectiveDateTime="2026-02-01"),
        statement("warfarin", "s2", status="not-taken"),
    )
    assert [entry.source for entry in orders_not_active(record)] == [
        "MedicationRequest/m2", "MedicationStatement/s1", "MedicationRequest/m1", "MedicationRequest/m3",
    ]  # fmt: skip


# What is new to the patient.


@pytest.mark.parametrize(
    ("resource", "is_new"),
    [
        (request("warfarin", authoredOn="2001-01-01"), False),
        (request("warfarin", authoredOn=None), False),
        (request("warfarin", status="stopped", authoredOn="2026-05-24"), False),  # 180 days and nine hours
        (request("warfarin", status="stopped", authoredOn="2026-05-23"), True),
        (request("warfarin", status="stopped", authoredOn=None), True),
        (request("warfarin", status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-23")), False),
        (request("warfarin", status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        (request("warfarin", authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        (request("warfarin", authoredOn="2026-12-01"), True),
        (request("warfarin", status="cancelled"), True),
        (request("metformin"), True),
        (statement("warfarin"), False),
        (statement("warfarin", status="unknown", effectiveDateTime="2026-05-24"), False),
        (statement("warfarin", status="unknown", effectiveDateTime="2026-05-23"), True),
        (dispense("warfarin", whenHandedOver="2026-05-24"), False),
        (dispense("warfarin", whenHandedOver="2026-05-23"), True),
        (dispense("warfarin", whenHandedOver="fnord"), True),
        (dispense("warfarin", status="cancelled"), True),
        (administration("warfarin", effectiveDateTime="2026-05-24"), False),
        (administration("warfarin", status="not-done"), True),
    ],
)
def test_a_drug_is_new_where_none_was_taken_in_half_a_year(resource: dict[str, Any], is_new: bool) -> None:
    record = record_of({name: value for name, value in resource.items() if value is not None})
    assert is_new_start(record, W) is is_new
    assert is_new_start(record, W, besides=f"{resource['resourceType']}/{resource['id']}") is True
