"""The patients the bodies are made of: the project's samples, filled up from the charts of the data folder."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.settings import settings
from cds_hooks.tools.kit.simulator.chart import (
    Chart,
    Resource,
    days_to_today,
    move_chart,
    move_dates,
    read_chart,
    resources_of,
)
from cds_hooks.tools.kit.simulator.request import drafts_for

ROOT = Path(__file__).resolve().parent.parent

_REPEATS = 4
_ENOUGH_OF_A_TYPE = 1500
_DAYS_BETWEEN_REPEATS = 200
_FILLED_UNTIL_DAYS_AGO = (60, 400)
_DRAFT_OF_EVERYONE = "naproxen-after-icu"
_LONGEST_HISTORY = 6000
_NOT_IN_HISTORY = frozenset({"Patient", "AllergyIntolerance"})
_SUBJECTS = ("subject", "patient")


@dataclass(frozen=True)
class Patient:
    """A patient whose chart ends today.

    The resources are in every body. Each of the `histories` (newest first, of somebody else) can fill a body up to its
    size.
    """

    sample: str
    resources: list[Resource]
    histories: list[list[Resource]]
    drafts: list[Resource]

    def fillers(self) -> Iterator[list[Resource]]:
        """Yield the histories as this patient's."""
        subject = {"reference": f"Patient/{Chart(self.resources).patient['id']}"}
        for history in self.histories:
            yield [resource | {name: subject for name in _SUBJECTS if name in resource} for resource in history]


def load_patients(now: datetime) -> Iterator[Patient]:
    """Yield every sample with the history of a larger chart behind its own."""
    histories = list(_histories(now))
    for sample in list_samples():
        own_resources = resources_of(load_patient(sample.id, now))
        ordered = [order.draft for order in sample.orders[:2]] or [_DRAFT_OF_EVERYONE]
        drafts = [resource for name in ordered for resource in resources_of(load_draft(name, now))]
        yield Patient(sample.id, own_resources, histories, drafts_for(Chart(own_resources), drafts))


def _histories(now: datetime) -> Iterator[list[Resource]]:
    """Yield the newest part of the large charts of the data folder, several times over, or of the ICU sample.

    MIMIC's have the results, Synthea's the conditions. They end before the samples' own results.
    """
    files = sorted((settings().data_dir / "fhir" / "perf").glob("*.json.gz"))
    histories = [read_chart(file).resources for file in files] or [resources_of(load_patient("icu-stay", now))]
    for days in _FILLED_UNTIL_DAYS_AGO:
        for history in (histories[0], histories[-1]) if len(histories) > 1 else histories:
            charted = [resource for resource in history if resource["resourceType"] not in _NOT_IN_HISTORY]
            newest = sorted(charted, key=charted_at, reverse=True)
            yield _repeated(_moved_to(newest[:_LONGEST_HISTORY], now - timedelta(days=days)))


def _repeated(history: list[Resource]) -> list[Resource]:
    """Return the history, and once more before it those types of which it has too few to fill a body."""
    counts = Counter(resource["resourceType"] for resource in history)
    rare = [resource for resource in history if counts[resource["resourceType"]] < _ENOUGH_OF_A_TYPE]
    earlier = (
        {**move_dates(resource, -number * _DAYS_BETWEEN_REPEATS), "id": f"{resource['id']}-{number}"}
        for number in range(1, _REPEATS)
        for resource in rare
    )
    return [*history, *earlier]


def _moved_to(resources: list[Resource], end: datetime) -> list[Resource]:
    """Return the chart moved by whole days so that its last event lies in the 24 hours before `end`.

    Ten minutes are left for the changing of times (`connection.ChangingRequest`): results from the future are refused.
    """
    chart = Chart(resources)
    moved: Chart = move_chart(chart, days_to_today(chart, end - timedelta(minutes=10)))
    return moved.resources


def charted_at(resource: Resource) -> str:
    """Return the dateTime of a result, order, problem or visit as charted; '' where it has none."""
    for element in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if element in resource:
            return str(resource[element])
    period: dict[str, Any] = (
        resource.get("effectivePeriod") or resource.get("performedPeriod") or resource.get("period") or {}
    )
    return str(period.get("start", ""))
