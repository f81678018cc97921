"""The charts the bodies are made of: real patients of the data folder, or the project's own ICU sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds_hooks.calling.chart import Chart, Resource, read_chart, resources_of
from cds_hooks.calling.dates import shifted
from cds_hooks.samples import load_patient
from cds_hooks.settings import settings

_SAMPLE_STAYS = 4
_DAYS_BETWEEN_STAYS = 40

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stay:
    """A patient's chart and where it is from."""

    origin: str
    chart: Chart


@dataclass(frozen=True)
class Window:
    """A stay up to one instant, to be moved in time by whole days so that this instant is today."""

    stay: Stay
    until: str
    days: int

    @property
    def chart(self) -> Chart:
        """The Patient and everything charted up to the instant, or without a date."""
        resources = self.stay.chart.resources
        return Chart([resource for resource in resources if charted_at(resource) <= self.until])

    @property
    def words(self) -> str:
        """Which patient, up to when, moved by how much."""
        return f"{self.stay.origin} up to {self.until}, moved by {self.days} days"


def load_stays() -> list[Stay]:
    """MIMIC's large patients of `<data>/fhir/perf` (they have the labs); without the data folder the ICU sample."""
    files = sorted((settings().data_dir / "fhir" / "perf").glob("mimic_*.json.gz"))
    return [Stay(file.name, read_chart(file)) for file in files] or [_sample_stays()]


def _sample_stays() -> Stay:
    """The ICU sample as if it had happened several times: one stay is a third of the largest body."""
    stay = resources_of(load_patient("icu-stay", datetime.now(UTC)))
    results = [resource for resource in stay if resource["resourceType"] == "Observation"]
    earlier = [
        {**shifted(result, -number * _DAYS_BETWEEN_STAYS), "id": f"{result['id']}-{number}"}
        for number in range(1, _SAMPLE_STAYS)
        for result in results
    ]
    return Stay(f"the project's ICU sample, {_SAMPLE_STAYS} stays of it", Chart([*stay, *earlier]))


def windows(stay: Stay, now: datetime, most: int = 60) -> Iterator[Window]:
    """The stay up to its last result, then up to the last result of earlier days that have any, newest first."""
    newest_of_day: dict[str, str] = {}
    for resource in stay.chart.resources:
        at = charted_at(resource)
        if resource["resourceType"] == "Observation" and len(at) > 10:
            newest_of_day[at[:10]] = max(at, newest_of_day.get(at[:10], ""))
    for day in sorted(newest_of_day, reverse=True)[:most]:
        yield Window(stay, newest_of_day[day], _days_until(newest_of_day[day], now))


def _days_until(last: str, now: datetime) -> int:
    """Whole days by which a stay is moved so that its last result lies within the 24 hours before `now`.

    By calendar days it could lie some hours ahead of the clock, and results from the future are refused; ten minutes
    are left for the changing of times (`connection.ChangingRequest`).
    """
    return (now - timedelta(minutes=10) - datetime.fromisoformat(last)) // timedelta(days=1)


def charted_at(resource: Resource) -> str:
    """The dateTime of a result, order, problem or visit as charted; '' where it has none."""
    for element in ("effectiveDateTime", "authoredOn", "onsetDateTime", "recordedDate", "performedDateTime"):
        if element in resource:
            return str(resource[element])
    period = resource.get("effectivePeriod") or resource.get("performedPeriod") or resource.get("period") or {}
    return str(period.get("start", ""))
