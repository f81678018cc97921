"""The patients the bodies are made of: the project's samples, and the real charts of the data folder where it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cds_hooks.kit.samples import list_samples, load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, Resource, last_event, move_dates, read_chart, resources_of
from cds_hooks.kit.simulator.request import drafts_for
from cds_hooks.settings import settings

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

    `own` is in every body above the smallest. Each of the `histories` (newest first, perhaps of somebody else) can
    fill a body up to its size.
    """

    origin: str
    resources: list[Resource]
    histories: list[list[Resource]]
    drafts: list[Resource]

    def fillers(self) -> Iterator[list[Resource]]:
        """Yield the histories as this patient's."""
        subject = {"reference": f"Patient/{Chart(self.resources).patient['id']}"}
        for history in self.histories:
            yield [resource | {name: subject for name in _SUBJECTS if name in resource} for resource in history]

    @property
    def is_sample(self) -> bool:
        """Whether the patient's own resources are a whole story; of a real chart they are the Patient only."""
        return len(self.resources) > 1


def load_patients(now: datetime) -> Iterator[Patient]:
    """Real charts first, then every sample with the history of a larger chart behind its own."""
    for name, chart in _real_charts():
        resources = _moved_to(chart.resources, now)
        own_resources = [resource for resource in resources if resource["resourceType"] == "Patient"]
        history = [resource for resource in resources if resource["resourceType"] != "Patient"]
        yield Patient(name, own_resources, [_newest_first(history)], _drafts(own_resources, [_DRAFT_OF_EVERYONE], now))
    histories = list(_histories(now))
    for sample in list_samples():
        own_resources = resources_of(load_patient(sample.id, now))
        ordered = [order.draft for order in sample.orders[:2]] or [_DRAFT_OF_EVERYONE]
        yield Patient(f"sample {sample.id}", own_resources, histories, _drafts(own_resources, ordered, now))


def _drafts(own_resources: list[Resource], names: list[str], now: datetime) -> list[Resource]:
    return drafts_for(
        Chart(own_resources), [resource for name in names for resource in resources_of(load_draft(name, now))]
    )


def _histories(now: datetime) -> Iterator[list[Resource]]:
    """Yield the newest part of other charts, several times over; it ends before the samples' own results."""
    histories = [chart.resources for _, chart in _real_charts()] or [_sample_results()]
    for days in _FILLED_UNTIL_DAYS_AGO:
        for history in (histories[0], histories[-1]) if len(histories) > 1 else histories:
            newest = _newest_first(
                [resource for resource in history if resource["resourceType"] not in _NOT_IN_HISTORY]
            )
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


def _newest_first(resources: list[Resource]) -> list[Resource]:
    return sorted(resources, key=charted_at, reverse=True)


def _moved_to(resources: list[Resource], end: datetime) -> list[Resource]:
    """Return the chart moved by whole days so that its last event lies in the 24 hours before `end`.

    Ten minutes are left for the changing of times (`connection.ChangingRequest`): results from the future are refused.
    """
    last = last_event(resources)
    days = (end - timedelta(minutes=10) - last) // timedelta(days=1) if last else 0
    moved: list[Resource] = move_dates(resources, days)
    return moved


@cache
def _read(file: Path) -> Chart:
    return read_chart(file)


def _real_charts() -> Iterator[tuple[str, Chart]]:
    """Yield the large patients of `<data>/fhir/perf`: MIMIC's have the results, Synthea's the conditions."""
    for file in sorted((settings().data_dir / "fhir" / "perf").glob("*.json.gz")):
        yield file.name.partition(".")[0][:40], _read(file)


def _sample_results() -> list[Resource]:
    """Return the results of the ICU sample."""
    stay = resources_of(load_patient("icu-stay", datetime.now(UTC)))
    return [resource for resource in stay if resource["resourceType"] == "Observation"]


def charted_at(resource: Resource) -> str:
    """Return the dateTime of a result, order, problem or visit as charted; '' where it has none."""
    for element in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if element in resource:
            return str(resource[element])
    period: dict[str, Any] = (
        resource.get("effectivePeriod") or resource.get("performedPeriod") or resource.get("period") or {}
    )
    return str(period.get("start", ""))
