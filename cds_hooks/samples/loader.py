"""Reads the index, the sample patients and the draft orders, and replaces their relative dates.

`"@-45d"` in a sample file becomes the date 45 days before the instant at which it is read. A placeholder is the whole
string: `@`, one or more steps (`-3y`, `-2m`, `-45d`, `+10d`: years, months, days, added up from the largest to the
smallest), then at most one of `T08:30` (an instant, in the offset of `as_of`), `:month` or `:year` (a date charted to
the month or the year only).

    "@-45d"          2026-10-06
    "@-45dT08:30"    2026-10-06T08:30:00+00:00
    "@-78y-40d"      1948-10-11
    "@-6y:year"      2020
    "@-14m:month"    2025-09

The 818 results of the intensive-care sample: sepsis with acute kidney injury, recovered, gone home.

They are computed, not stored: the other resources of the stay are in `patients/icu-stay.json`. Each row of
`icu_courses.csv` gives a value for every second day of the stay (whole numbers, in steps of `1 / scale`); straight
lines join them, with a small repeating variation on top. All of it is whole-number arithmetic: the same results on
every machine. The courses end inside the range that the NHANES training table covers, so that a mortality model has an
answer.
"""

from __future__ import annotations

import csv
import re
from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, NamedTuple

from msgspec import json as msgspec_json

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
        """Return the value in `unit`, `hours` after admission; `turn` numbers the rounds and chooses the unrest."""
        interval = hours // _HOURS_BETWEEN_ANCHORS
        before, after = self.anchors[interval], self.anchors[interval + 1]
        hours_since_anchor = hours - interval * _HOURS_BETWEEN_ANCHORS
        steps = (
            before
            + (after - before) * hours_since_anchor // _HOURS_BETWEEN_ANCHORS
            + _UNREST[turn % len(_UNREST)] * self.unrest
        )
        return steps / self.scale

    @property
    def code(self) -> Json:
        return {"coding": [{"system": "http://loinc.org", "code": self.loinc, "display": self.display}]}


_PRESSURE_PANEL = _Course(
    "us-core-blood-pressure", "85354-9", "Blood pressure panel with all children optional", "", 1, 0, ()
)


def icu_observations() -> Iterator[Json]:
    """Yield the 818 Observations with relative dates, in the order in which they were made on each day's rounds."""
    courses = _read_courses()
    yield from _laboratory(courses)
    yield from _bedside(courses)


def _read_courses() -> dict[str, list[_Course]]:
    """Return the courses of the table by kind."""
    table = files("cds_hooks.samples").joinpath("icu_courses.csv").read_text(encoding="utf-8")
    courses: dict[str, list[_Course]] = defaultdict(list)
    for row in csv.DictReader(table.splitlines()):
        courses[row["kind"]].append(_course(row))
    return courses


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


def _laboratory(courses: dict[str, list[_Course]]) -> Iterator[Json]:
    """Make the results of every twelve hours in intensive care, then of every morning."""
    rounds = [*range(5, _HOURS_IN_ICU, 12), *range(_HOURS_IN_ICU + 5, _HOURS_IN_HOSPITAL, 24)]
    for turn, hours in enumerate(rounds):
        for course in courses["laboratory"]:
            measured = {"issued": _at(hours + 1, 10), "valueQuantity": _quantity(course, hours, turn)}
            yield _observation(course, _LABORATORY, hours, 30) | measured


def _bedside(courses: dict[str, list[_Course]]) -> Iterator[Json]:
    """Make the signs of every two hours in intensive care (temperature every four), then of every eight."""
    rounds = [*range(2, _HOURS_IN_ICU, 2), *range(_HOURS_IN_ICU, _HOURS_IN_HOSPITAL - 8, 8)]
    for turn, hours in enumerate(rounds):
        temperature = courses["temperature"] if hours % 4 == 0 else []
        for course in (*courses["vital-signs"], *temperature):
            yield _observation(course, _VITAL_SIGNS, hours) | {"valueQuantity": _quantity(course, hours, turn)}
        pressures = [{"code": part.code, "valueQuantity": _quantity(part, hours, turn)} for part in courses["pressure"]]
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


_PLACEHOLDER = re.compile(r"@((?:[+-]\d+[ymd])+)(?:T(\d\d):(\d\d)|:(month|year))?")
_STEP = re.compile(r"([+-]\d+)([ymd])")


def place_dates(node: Any, as_of: datetime) -> Any:
    """Return the same JSON with every placeholder replaced by a date.

    Raises ValueError for a naive `as_of` or a string that only looks like a placeholder (a typing error would otherwise
    reach the reader as a broken date).
    """
    if as_of.tzinfo is None:
        raise ValueError("as_of must have an offset from UTC")
    if isinstance(node, dict):
        return {key: place_dates(value, as_of) for key, value in node.items()}
    if isinstance(node, list):
        return [place_dates(value, as_of) for value in node]
    if isinstance(node, str) and node.startswith("@"):
        return _placed(node, as_of)
    return node


def _placed(text: str, as_of: datetime) -> str:
    match = _PLACEHOLDER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a relative date; see cds_hooks/samples/loader.py for the form")
    steps, hour, minute, precision = match.groups()
    day = _moved(as_of.date(), steps)
    if hour is not None:
        return datetime(day.year, day.month, day.day, int(hour), int(minute), tzinfo=as_of.tzinfo).isoformat()
    return day.isoformat()[: {"year": 4, "month": 7, None: 10}[precision]]


def _moved(day: date, steps: str) -> date:
    amount = dict.fromkeys("ymd", 0)
    for number, unit in _STEP.findall(steps):
        amount[unit] += int(number)
    months = day.year * 12 + day.month - 1 + amount["y"] * 12 + amount["m"]
    year, month = months // 12, months % 12 + 1
    # 31 January minus one month, or 29 February minus a year: the last day of that month
    last = monthrange(year, month)[1]
    return date(year, month, min(day.day, last)) + timedelta(days=amount["d"])


_FOLDER: Traversable = files("cds_hooks.samples")
_BASE = "https://samples.example/fhir"
# 818 results would be 670 KB of JSON that nobody reads: they are computed and follow what the file holds.
_COMPUTED = {"icu-stay": icu_observations}

SHOWCASE_PATIENT = "planning-talk"
SHOWCASE_DRAFT = "metformin-ckd4-coded"


@dataclass(frozen=True)
class PatientView:
    """What the planning service (`mortality_5y`) does with this patient: a card, or silence with this reason code."""

    expect: Literal["card", "silent"]
    reason: str


@dataclass(frozen=True)
class DraftedOrder:
    """A drafted order for this patient and what the renal rules do with it.

    They show a card of `rule` and `band`, are silent, or ask (`missing`: the rule's card about what is not known).
    """

    draft: str
    expect: Literal["card", "silent", "missing"]
    reason: str
    rule: str | None = None
    band: str | None = None


@dataclass(frozen=True)
class ExpectedCard:
    """A service of a published equation that shows a card for this patient, and what it says."""

    service: str
    says: str


@dataclass(frozen=True)
class Sample:
    """One invented patient.

    `facts` are what a reader must find in the record, on any day it is loaded: age in completed years,
    `creatinine_mg_dl` (newest usable), `weight_kg`, `egfr_ckd_epi_2021` in mL/min/1.73 m2, `crcl_cockcroft_gault` in
    mL/min (actual weight). `services` are those of published equations that show a card, all others are silent.
    """

    id: str
    title: str
    story: str
    facts: dict[str, float]
    patient_view: PatientView
    orders: tuple[DraftedOrder, ...] = ()
    services: tuple[ExpectedCard, ...] | None = None


@dataclass(frozen=True)
class _Index:
    samples: tuple[Sample, ...]


def list_samples() -> tuple[Sample, ...]:
    """Return every sample, in the order of the index."""
    return msgspec_json.decode(_FOLDER.joinpath("samples.json").read_bytes(), type=_Index).samples


@cache
def sample_ids() -> frozenset[str]:
    """Return the ids of the sample patients."""
    return frozenset(sample.id for sample in list_samples())


def load_patient(sample_id: str, as_of: datetime) -> dict[str, Any]:
    """Return the patient's record as a FHIR R4 Bundle of type collection, its dates counted from `as_of` (aware).

    Raises KeyError for a sample that does not exist."""
    bundle = _read("patients", sample_id)
    for resource in _COMPUTED.get(sample_id, tuple)():
        url = f"{_BASE}/{resource['resourceType']}/{resource['id']}"
        bundle["entry"].append({"fullUrl": url, "resource": resource})
    return _with_dates(bundle, as_of)


def load_draft(draft_id: str, as_of: datetime) -> dict[str, Any]:
    """Return a drafted MedicationRequest, or a Bundle of it and its Medication, dates counted from `as_of`.

    Raises KeyError for a draft that does not exist."""
    return _with_dates(_read("drafts", draft_id), as_of)


def _read(folder: str, name: str) -> dict[str, Any]:
    file = _FOLDER.joinpath(folder, f"{name}.json")
    if not file.is_file():
        names = sorted(entry.name.removesuffix(".json") for entry in _FOLDER.joinpath(folder).iterdir())
        raise KeyError(f"no sample {name!r} in {folder}; there are {', '.join(names)}")
    return msgspec_json.decode(file.read_bytes(), type=dict[str, Any])


def _with_dates(resource: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    return {key: place_dates(value, as_of) for key, value in resource.items()}
