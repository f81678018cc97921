"""Reads the index, the patients and the drafted orders, and places their dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from msgspec import json as msgspec_json

from cds_hooks.samples.dates import place_dates
from cds_hooks.samples.icu import icu_observations

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
    """A drafted order for this patient and what the renal rules do with it: a card of `rule` and `band`, silence, or
    `missing` (the rule's card that asks for what is not known)."""

    draft: str
    expect: Literal["card", "silent", "missing"]
    reason: str
    rule: str | None = None
    band: str | None = None


@dataclass(frozen=True)
class Spoken:
    """A service of a published equation that shows a card for this patient, and what it says."""

    service: str
    says: str


@dataclass(frozen=True)
class Sample:
    """One invented patient. `facts` are what a reader must find in the record, on any day it is loaded: age in
    completed years, `creatinine_mg_dl` (newest usable), `weight_kg`, `egfr_ckd_epi_2021` in mL/min/1.73 m2,
    `crcl_cockcroft_gault` in mL/min (actual weight). `services` are those of published equations that speak, all others
    are silent; `later` names what services to come should do."""

    id: str
    title: str
    story: str
    facts: dict[str, float]
    patient_view: PatientView
    orders: tuple[DraftedOrder, ...] = ()
    services: tuple[Spoken, ...] | None = None
    later: str | None = None


@dataclass(frozen=True)
class _Index:
    samples: tuple[Sample, ...]


@cache
def list_samples() -> tuple[Sample, ...]:
    """Every sample, in the order of the index."""
    return msgspec_json.decode(_FOLDER.joinpath("samples.json").read_bytes(), type=_Index).samples


def load_patient(sample_id: str, as_of: datetime) -> dict[str, Any]:
    """The patient's record as a FHIR R4 Bundle of type collection, its dates counted from `as_of` (aware).

    Raises KeyError for a sample that does not exist."""
    bundle = _read("patients", sample_id)
    for resource in _COMPUTED.get(sample_id, tuple)():
        url = f"{_BASE}/{resource['resourceType']}/{resource['id']}"
        bundle["entry"].append({"fullUrl": url, "resource": resource})
    return _placed(bundle, as_of)


def load_draft(draft_id: str, as_of: datetime) -> dict[str, Any]:
    """A drafted MedicationRequest, or a Bundle of it and the Medication it refers to, dates counted from `as_of`.

    Raises KeyError for a draft that does not exist."""
    return _placed(_read("drafts", draft_id), as_of)


def _read(folder: str, name: str) -> dict[str, Any]:
    file = _FOLDER.joinpath(folder, f"{name}.json")
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in _FOLDER.joinpath(folder).iterdir())
        raise KeyError(f"no sample {name!r} in {folder}; there are {', '.join(known)}")
    return msgspec_json.decode(file.read_bytes(), type=dict[str, Any])


def _placed(resource: dict[str, Any], as_of: datetime) -> dict[str, Any]:
    return {key: place_dates(value, as_of) for key, value in resource.items()}
