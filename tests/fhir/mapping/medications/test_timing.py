"""FHIR Timing as times per day: every way to say twice a day is the same, and contradictions are not known."""

from typing import Any

import pytest

from fhir.mapping.medications.dosage import Schedule, read_timing
from fhir.record.resources import MedicationRequest
from tests.each import for_rows
from tests.fhir.builders import order
from tests.fhir.mapping.medications.doses import plain


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


@for_rows(("repeat", "said"))
def test_a_repeat_is_read_whole(repeat: dict[str, Any], said: dict[str, Any]) -> None:
    assert plain(_schedule(repeat=repeat)) == said


@for_rows(("timing", "said"))
def test_a_code_and_a_repeat_are_one_schedule_or_a_contradiction(timing: dict[str, Any], said: dict[str, Any]) -> None:
    assert plain(_schedule(**timing)) == said
