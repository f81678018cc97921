"""Charts and drafts by the names that people type: a file, or a sample that comes with the package."""

from datetime import datetime
from pathlib import Path

from cds_hooks.calling.chart import Chart, ChartError, Resource, read_chart, read_drafts, resources_of
from cds_hooks.calling.dates import days_until, last_event, shifted
from cds_hooks.samples import list_samples, load_draft, load_patient

_SAMPLE = "sample:"


def open_chart(path: Path, now: datetime) -> Chart:
    """The chart of a file, or of `sample:ID` with its dates as of `now`; ChartError where there is none."""
    sample = _sample_name(path)
    if sample is None:
        return read_chart(path)
    if sample not in {each.id for each in list_samples()}:
        raise ChartError(f"there is no sample {sample}; see: cds-hooks samples list")
    return Chart(resources_of(load_patient(sample, now)))


def open_drafts(path: Path, now: datetime) -> list[Resource]:
    """The draft orders of a file, or of `sample:ID`; ChartError where there are none."""
    sample = _sample_name(path)
    if sample is None:
        return read_drafts(path)
    if sample not in {order.draft for each in list_samples() for order in each.orders}:
        raise ChartError(f"there is no sample draft {sample}; see: cds-hooks samples list --json")
    return resources_of(load_draft(sample, now))


def days_to_today(chart: Chart, now: datetime) -> int:
    """By how many days the chart is to be moved so that its last event is today; ChartError where it has none."""
    time = last_event(chart.resources)
    if time is None:
        raise ChartError("the chart has no encounter, result or order with a date, so there is nothing to move it by")
    return days_until(time, now)


def moved(chart: Chart, days: int) -> Chart:
    """The same chart, all its dates moved by whole days."""
    return Chart(shifted(chart.resources, days), shifted(chart.drafts, days))


def _sample_name(path: Path) -> str | None:
    return str(path).removeprefix(_SAMPLE) if str(path).startswith(_SAMPLE) else None
