"""`cds-hooks score --fhir`: scores the charts of a folder as they stood on a day.

Of a chart as it stood on a day in the past, what was written after it is taken out.
"""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import orjson
import typer

from cds_hooks.batch.run import FhirJob, FhirResult, score_folder
from cds_hooks.commands.model.console import progress_bars
from cds_hooks.commands.options import print_json
from cds_hooks.settings import settings
from fhir.record.charts import known_at
from models_onnx.errors import BatchRefused


def score_charts(
    folder: Path,
    as_of: str | None,
    out: Path,
    names: tuple[str, ...],
    workers: int,
    as_json: bool,
) -> None:
    """Scores the folder and says how many lines there are of what."""
    moment, is_past = moment_of(as_of)
    job = FhirJob(folder, moment, out, settings(), names, workers, as_it_stood if is_past else None)
    with progress_bars(as_json) as step:
        result = score_folder(job, lambda done: step("patients", done, done))
    if as_json:
        print_json(result)
    else:
        _show(result, out)


def moment_of(day: str | None) -> tuple[datetime, bool]:
    """Return the end of that day (UTC), or now, and whether it is over; BatchRefused for no date or one to come."""
    now = settings().as_of or datetime.now(UTC)
    if day is None:
        return now, False
    try:
        wanted = date.fromisoformat(day)
    except ValueError as error:
        raise BatchRefused(f"--as-of: {day!r} is not a date; write it as 2026-11-20.") from error
    end = datetime.combine(wanted, time.max, UTC).replace(microsecond=0)
    if wanted > now.date() + timedelta(days=1):
        raise BatchRefused(f"--as-of: {day} is in the future; nobody's chart is known then.")
    return end, end < now


def _show(result: FhirResult, out: Path) -> None:
    read = result.resources
    if read.without_patient:
        typer.echo(f"{read.without_patient:,} resources name no patient of the folder: not used.", err=True)
    if read.unreadable:
        sentence = f"{read.unreadable:,} lines or files are no FHIR: not used. The first is in {read.unreadable_in}."
        typer.echo(sentence, err=True)
    if read.two_persons:
        sentence = "patients have Patient resources that differ in birth date or sex, as if they were two people"
        typer.echo(f"{read.two_persons:,} {sentence}: not scored.", err=True)
    typer.echo(f"{result.patients:,} patients, {read.used:,} of {read.resources:,} resources read: {out}")
    for name, count in sorted(result.counted.items()):
        typer.echo(f"  {name}: {count:,}")


def as_it_stood(lines: list[bytes], as_of: datetime) -> list[bytes]:
    """Return the resources without what was seen, written or ended after `as_of`.

    The rules are those by which training tables are made from charts (fhir/record/charts.py), whether or not anything
    of the chart is dated later. A line that is no resource stays, for the reader to name it.
    """
    resources: list[dict[str, Any]] = []
    unread: list[bytes] = []
    for line in lines:
        try:
            resource = orjson.loads(line)
        except orjson.JSONDecodeError:
            resource = None
        if isinstance(resource, dict):
            resources.append(resource)
        else:
            unread.append(line)
    patient = next((resource for resource in resources if resource.get("resourceType") == "Patient"), {})
    others = [resource for resource in resources if resource.get("resourceType") != "Patient"]
    known_resources = known_at(patient, others, as_of.timestamp())
    return [*(msgspec.json.encode(resource) for resource in known_resources if resource), *unread]
