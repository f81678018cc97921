"""FHIR Timing as times per day: every way to say twice a day is the same, and contradictions are not known."""

from typing import Any

import msgspec
import pytest

from fhir.mapping.medications.dosage import Schedule, read_timing
from fhir.mapping.medications.sig import AS_NEEDED_WITHOUT_FREQUENCY, CONTRADICTION, DoseProblem
from fhir.record.resources import MedicationRequest
from tests.each import for_rows
from tests.fhir.builders import order


def _schedule(**timing: Any) -> Schedule:
    draft: MedicationRequest = order("x", {"timing": timing})
    read = draft.dosageInstruction[0].timing
    assert read is not None
    return read_timing(read)


def _code(code: str, system: str = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@for_rows(
    ("code", "times"),
    [("BID", 2), ("TID", 3), ("QID", 4), ("AM", 1), ("PM", 1), ("QD", 1), ("QOD", 0.5), ("Q1H", 24), ("Q2H", 12),
     ("Q3H", 8), ("Q4H", 6), ("Q6H", 4), ("Q8H", 3), ("BED", 1), ("WK", 1 / 7), ("MO", 1 / 30.4375),
     ("Q 12H", 2), ("Q48H", 0.5), ("DAILY", 1), ("QHS", 1), ("bid", 2), ("229799001", 2)],
)  # fmt: skip
def test_a_timing_code_is_understood(code: str, times: float) -> None:
    schedule = _schedule(code=_code(code))
    assert schedule.high == pytest.approx(times)
    assert schedule.low == schedule.high


@for_rows("code", ["ASDIR", "INFUSION", "TITRATE TO", "ON CALL", "XYZ", "ONCE MR1"])
def test_an_unknown_code_is_not_guessed(code: str) -> None:
    assert not _schedule(code=_code(code)).is_known


@for_rows(
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
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2026-11-01", "end": "2026-11-01"}},
         Schedule(1.0, 1.0, days=1.0)),
        ({"count": 1, "boundsDuration": {"value": 3, "code": "d"}}, Schedule(1.0, 1.0, single=True, days=3.0)),
        ({"frequency": 1, "period": 3, "periodUnit": "d"}, Schedule(1 / 3, 1 / 3)),
        ({"frequency": 1, "period": 1, "periodUnit": "wk"}, Schedule(1 / 7, 1 / 7)),
        ({"frequency": 1, "period": 1, "periodUnit": "mo"}, Schedule(1 / 30.4375, 1 / 30.4375)),
        ({"dayOfWeek": ["mon", "thu"], "timeOfDay": ["08:00:00", "20:00:00"]},
         Schedule(4 / 7, 4 / 7, on_days=frozenset({"mon", "thu"}))),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "dayOfWeek": ["mon", "wed", "fri"]},
         Schedule(3 / 7, 3 / 7, on_days=frozenset({"mon", "wed", "fri"}))),
        ({"frequency": 2, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00", "20:00:00"]}, Schedule(2.0, 2.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00", "20:00:00"]}, Schedule(1.0, 2.0)),
        ({"frequency": 3, "period": 1, "periodUnit": "d", "when": ["AC"]}, Schedule(3.0, 3.0)),
        ({"duration": 3, "durationUnit": "d"}, Schedule(problem=DoseProblem("timing does not say how often"))),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsDuration": {"value": 2, "unit": "moons"}},
         Schedule(1.0, 1.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsDuration": {"code": "d"}}, Schedule(1.0, 1.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2026-11-01"}},
         Schedule(1.0, 1.0)),
        ({"frequency": 1, "period": 1, "periodUnit": "d", "boundsPeriod": {"end": "2026-11-01"}}, Schedule(1.0, 1.0)),
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


@for_rows(
    ("timing", "schedule"),
    [
        ({"event": ["2026-11-20"]}, Schedule(1.0, 1.0, single=True, days=1.0)),
        ({"event": ["2026-11-20T08:00:00Z", "2026-11-20T20:00:00Z"]}, Schedule(2.0, 2.0, days=1.0)),
        ({"event": ["2026-11-06", "2026-11-13", "2026-11-20"]}, Schedule(1 / 7, 1 / 7, days=15.0)),
        ({"event": ["2026-11-20", "soon"]}, Schedule(problem=DoseProblem("a time of the timing cannot be read"))),
        ({}, Schedule()),
        ({"event": ["2026-11-20"], "repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}, Schedule(2.0, 2.0)),
        ({"event": ["2026-11-20"], "code": _code("BID")}, Schedule(2.0, 2.0)),
        ({"code": _code("XYZ"), "repeat": {"frequency": 2}},
         Schedule(problem=DoseProblem("frequency without a period"))),
        ({"code": {"text": "three times daily, Mon Wed"}}, Schedule(6 / 7, 6 / 7, on_days=frozenset({"mon", "wed"}))),
        ({"code": _code("BID"), "repeat": {"boundsDuration": {"value": 5, "code": "d"}, "dayOfWeek": ["mon"]}},
         Schedule(problem=CONTRADICTION, days=5.0)),
        ({"code": _code("BID"), "repeat": {"boundsDuration": {"value": 5, "code": "d"}}}, Schedule(2.0, 2.0, days=5.0)),
        ({"code": _code("BID"), "repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}}, Schedule(2.0, 2.0)),
        ({"code": _code("BID"), "repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}},
         Schedule(problem=CONTRADICTION)),
        ({"code": _code("BID"), "repeat": {"frequency": 2, "frequencyMax": 3, "period": 1, "periodUnit": "d"}},
         Schedule(problem=CONTRADICTION)),
        ({"code": _code("BID"), "repeat": {"frequency": 1, "frequencyMax": 2, "period": 1, "periodUnit": "d"}},
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
