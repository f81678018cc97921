"""The 818 results of the intensive-care sample: sepsis with acute kidney injury, recovered, gone home.

They are computed, not stored: the other resources of the stay are in `patients/icu-stay.json`. Each row of
`icu_courses.csv` gives a value for every second day of the stay (whole numbers, in steps of `1 / scale`); straight
lines join them, with a small repeating variation on top. All of it is whole-number arithmetic: the same results on
every machine. The courses end inside the range that the NHANES training table covers, so that a mortality model has an
answer."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

Json = dict[str, Any]

_PATIENT = "icu-stay"
_ADMITTED_DAYS_AGO = 32
_HOURS_IN_ICU, _HOURS_IN_HOSPITAL = 6 * 24, 12 * 24
_HOURS_BETWEEN_ANCHORS = 48
_UNREST = (0, 2, -1, 3, -2, 1, -3)
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_LABORATORY = {"coding": [{"system": _CATEGORY, "code": "laboratory", "display": "Laboratory"}]}
_VITAL_SIGNS = {"coding": [{"system": _CATEGORY, "code": "vital-signs", "display": "Vital Signs"}]}


class _Course(NamedTuple):
    """How one value went, day 0 to day 12."""

    profile: str
    loinc: str
    display: str
    unit: str
    scale: int
    unrest: int
    anchors: tuple[int, ...]

    def value(self, hours: int, turn: int) -> float:
        """In `unit`, `hours` after admission; `turn` numbers the rounds and chooses the unrest."""
        left = hours // _HOURS_BETWEEN_ANCHORS
        before, after = self.anchors[left], self.anchors[left + 1]
        way = hours - left * _HOURS_BETWEEN_ANCHORS
        steps = before + (after - before) * way // _HOURS_BETWEEN_ANCHORS + _UNREST[turn % len(_UNREST)] * self.unrest
        return steps / self.scale

    @property
    def code(self) -> Json:
        return {"coding": [{"system": "http://loinc.org", "code": self.loinc, "display": self.display}]}


_PRESSURE_PANEL = _Course(
    "us-core-blood-pressure", "85354-9", "Blood pressure panel with all children optional", "", 1, 0, ()
)


def icu_observations() -> Iterator[Json]:
    """The 818 Observations with relative dates, in the order in which they were made on each day's rounds."""
    yield from _laboratory()
    yield from _bedside()


@cache
def _courses(kind: str) -> tuple[_Course, ...]:
    table = files("cds_hooks.samples").joinpath("icu_courses.csv").read_text(encoding="utf-8")
    return tuple(_course(row) for row in csv.DictReader(table.splitlines()) if row["kind"] == kind)


def _course(row: dict[str, str]) -> _Course:
    return _Course(
        profile=row["profile"],
        loinc=row["loinc"],
        display=row["display"],
        unit=row["unit"],
        scale=int(row["scale"]),
        unrest=int(row["unrest"]),
        anchors=tuple(int(row[column]) for column in row if column.startswith("day")),
    )


def _laboratory() -> Iterator[Json]:
    """Every twelve hours in intensive care, then every morning."""
    rounds = [*range(5, _HOURS_IN_ICU, 12), *range(_HOURS_IN_ICU + 5, _HOURS_IN_HOSPITAL, 24)]
    for turn, hours in enumerate(rounds):
        for course in _courses("laboratory"):
            measured = {"issued": _at(hours + 1, 10), "valueQuantity": _quantity(course, hours, turn)}
            yield _observation(course, _LABORATORY, hours, 30) | measured


def _bedside() -> Iterator[Json]:
    """Every two hours in intensive care (temperature every four), then every eight."""
    rounds = [*range(2, _HOURS_IN_ICU, 2), *range(_HOURS_IN_ICU, _HOURS_IN_HOSPITAL - 8, 8)]
    for turn, hours in enumerate(rounds):
        temperature = _courses("temperature") if hours % 4 == 0 else ()
        for course in (*_courses("vital-signs"), *temperature):
            yield _observation(course, _VITAL_SIGNS, hours) | {"valueQuantity": _quantity(course, hours, turn)}
        pressures = [
            {"code": part.code, "valueQuantity": _quantity(part, hours, turn)} for part in _courses("pressure")
        ]
        yield _observation(_PRESSURE_PANEL, _VITAL_SIGNS, hours) | {"component": pressures}


def _observation(course: _Course, category: Json, hours: int, minute: int = 0) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"{_PATIENT}-{course.loinc}-{hours:03}",
        "meta": {"profile": [_US_CORE + course.profile]},
        "status": "final",
        "category": [category],
        "code": course.code,
        "subject": {"reference": f"Patient/{_PATIENT}"},
        "encounter": {"reference": f"Encounter/{_PATIENT}-encounter"},
        "effectiveDateTime": _at(hours, minute),
    }


def _at(hours: int, minute: int) -> str:
    return f"@-{_ADMITTED_DAYS_AGO - hours // 24}dT{hours % 24:02}:{minute:02}"


def _quantity(course: _Course, hours: int, turn: int) -> Json:
    value = course.value(hours, turn)
    number = int(value) if course.scale == 1 else value
    return {"value": number, "unit": course.unit, "system": "http://unitsofmeasure.org", "code": course.unit}
