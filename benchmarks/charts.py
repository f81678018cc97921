"""The charts the bodies are made of: real patients of the data folder, or the project's own ICU sample."""

from __future__ import annotations

import gzip
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.templates import Resource

ROOT = Path(__file__).resolve().parent.parent
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\S+)?")


@dataclass(frozen=True)
class Chart:
    """One patient: where the chart is from, the Patient, everything else."""

    origin: str
    patient: Resource
    resources: list[Resource]

    @cached_property
    def newest_first(self) -> list[Resource]:
        """Everything but the Patient; what has no date comes last."""
        return sorted(self.resources, key=charted_at, reverse=True)


def load_charts() -> list[Chart]:
    """MIMIC's large patients of `<data>/fhir/perf` (they have the labs); without the data folder the ICU sample."""
    folder = Path(os.environ.get("CDS_DATA_DIR") or ROOT.parent / "shared" / "data") / "fhir" / "perf"
    charts = [_read_chart(path) for path in sorted(folder.glob("mimic_*.json.gz"))]
    return charts or [_icu_sample()]


def _read_chart(path: Path) -> Chart:
    return _chart(path.name, json.loads(gzip.decompress(path.read_bytes())))


def _icu_sample() -> Chart:
    # only here: a machine with the data folder does not need the samples
    from cds_hooks.samples import load_patient

    return _chart("the project's ICU sample", load_patient("icu-stay", datetime.now(UTC)))


def _chart(origin: str, bundle: dict[str, Any]) -> Chart:
    resources = [entry["resource"] for entry in bundle["entry"]]
    patient = next(resource for resource in resources if resource["resourceType"] == "Patient")
    return Chart(origin, patient, [resource for resource in resources if resource is not patient])


def charted_at(resource: Resource) -> str:
    """The date or dateTime a resource is sorted by, as charted; '' where it has none."""
    period = resource.get("effectivePeriod") or resource.get("period") or resource.get("performedPeriod") or {}
    for element in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if element in resource:
            return str(resource[element])
    return str(period.get("start", ""))


def days_until(last: str, now: datetime) -> int:
    """Whole days by which a chart is moved so that its last event lies within the 24 hours before `now`."""
    event = datetime.fromisoformat(last)
    if event.tzinfo is None:
        event = event.replace(tzinfo=UTC)
    return (now - event) // timedelta(days=1)


def shift_dates(value: Any, days: int) -> Any:
    """A copy with every date and dateTime, the birth date too, moved by whole days; everything else as it was."""
    if isinstance(value, dict):
        return {name: shift_dates(member, days) for name, member in value.items()}
    if isinstance(value, list):
        return [shift_dates(member, days) for member in value]
    if isinstance(value, str) and _DATE.fullmatch(value):
        return (date.fromisoformat(value[:10]) + timedelta(days=days)).isoformat() + value[10:]
    return value
