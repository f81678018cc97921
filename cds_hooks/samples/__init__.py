"""Invented patients and drafted orders that come with the package: read with their dates relative to the reading.

`"@-45d"` in a sample file becomes the date 45 days before the instant at which it is read. A placeholder is the whole
string: `@`, one or more steps (`-3y`, `-2m`, `-45d`, `+10d`: years, months, days, added up from the largest to the
smallest), then at most one of `T08:30` (an instant, in the offset of `as_of`), `:month` or `:year` (a date charted to
the month or the year only).

    "@-45d"          2026-10-06
    "@-45dT08:30"    2026-10-06T08:30:00+00:00
    "@-78y-40d"      1948-10-11
    "@-6y:year"      2020
    "@-14m:month"    2025-09

The 818 results of the intensive-care sample (sepsis with acute kidney injury, recovered, gone home) are 670 KB of JSON
that nobody reads, so they stand packed beside the folders and follow what `patients/icu-stay.json` holds.
"""

from __future__ import annotations

import gzip
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from msgspec import json as msgspec_json

Json = dict[str, Any]

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
        raise ValueError(f"{text!r} is not a relative date; see cds_hooks/samples/__init__.py for the form")
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

SHOWCASE_PATIENT = "planning-talk"
SHOWCASE_DRAFT = "metformin-ckd4-coded"


@dataclass(frozen=True)
class DraftedOrder:
    """A drafted order for this patient."""

    draft: str


@dataclass(frozen=True)
class Sample:
    """One invented patient; the index also has their story, and what each service and rule does with them."""

    id: str
    title: str
    orders: tuple[DraftedOrder, ...] = ()


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
    for resource in _packed_results(sample_id):
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


def _packed_results(sample_id: str) -> list[Json]:
    file = _FOLDER.joinpath(f"{sample_id}.results.json.gz")
    return msgspec_json.decode(gzip.decompress(file.read_bytes()), type=list[Json]) if file.is_file() else []


def _with_dates(resource: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    return {key: place_dates(value, as_of) for key, value in resource.items()}
