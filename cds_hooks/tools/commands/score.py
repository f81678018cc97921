"""`cds-hooks score`: scores the people of a table as a hook call scores one person.

`cds-hooks score --fhir`: scores the charts of a folder as they stood on a day.

Of a chart as it stood on a day in the past, what was written after it is taken out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from cds_hooks.call.trusted_models import folder_of, own_keys, why_withheld
from cds_hooks.settings import settings
from cds_hooks.tools.batch.run import FhirJob, FhirResult, score_folder
from cds_hooks.tools.commands.model.console import Folder, problems
from cds_hooks.tools.commands.options import AsJson, is_there, print_json, progress_bars
from cds_hooks.tools.kit.commands.options import given_as
from fhir.record.charts import known_at
from models_onnx.batch import BatchModel, load
from models_onnx.batch.run import ScoringJob, ScoringResult, score_table
from models_onnx.errors import BatchRefused
from models_onnx.serving.registry import ARTIFACTS

Texts = list[str] | None


@dataclass(frozen=True)
class ScoreOptions:
    """Options of `score`."""

    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The model's id, id@version, or id@ and its digest.")
    ] = None
    rows: Annotated[
        Path | None,
        typer.Argument(metavar="[ROWS]", help="A table: .csv, .tsv (.gz too) or .parquet."),
    ] = None
    out: Annotated[Path | None, typer.Option(help="Where the scores go, which is needed: .csv or .parquet.")] = None
    fhir: Annotated[
        Path | None, typer.Option(help="Score the charts of this folder instead: bundles, Bulk Data NDJSON by type.")
    ] = None
    as_of: Annotated[str | None, typer.Option(help="With --fhir: the day, as 2026-11-20; default: now.")] = None
    only: Annotated[
        Texts, typer.Option(help="With --fhir: only this model or equation; again for each. Default: all in use.")
    ] = None
    workers: Annotated[int, typer.Option(min=1, max=256, help="How many processes score.")] = 1
    identity: Annotated[str, typer.Option("--id", help="The column that names a row.")] = "id"
    view: Annotated[
        Path | None,
        typer.Option(callback=is_there, dir_okay=False, help="A file with a SELECT from rows: what the columns mean."),
    ] = None
    exclude: Annotated[Texts, typer.Option(help="A column whose yes leaves a person out; again for each.")] = None
    explain: Annotated[bool, typer.Option("--explain", help="Add the base and the contribution of each input.")] = False
    folder: Folder = ARTIFACTS
    as_json: AsJson = False


@given_as(ScoreOptions)
def score(options: ScoreOptions) -> None:
    """Score the rows of any table: probability, percentile, model and, where there is no score, the reason.

    One line per row, in order. A column has the name of the input (docs/features.md); another name, unit or coding,
    and a column that is not there, is said by a view in SQL (docs/scoring.md), or nothing is scored. The rules are
    those of a hook call: population, missing inputs (the twin takes over), trained range. Needs the extra
    cds-hooks-onnx[batch].

    With --fhir every patient of a folder gets one line for each model in use and each output of each published
    equation, by the services' own rules, as the chart stood at the end of --as-of.

    A published measure of the folder in CDS_KNOWLEDGE, named with --fhir, gives one line for each patient and group:
    open, closed, excluded or not eligible, for the calendar year of --as-of.

    Exit codes: 0 every row has its line, 2 the model, the table or the view cannot be used.

    Example: cds-hooks score mortality_5y rows.csv.gz --out scores.csv --id participant_id

    Example: cds-hooks score mortality_5y rows.csv --out risk.parquet --id mrn --view columns.sql

    Example: cds-hooks score --fhir export --as-of 2026-11-20 --out scores.parquet --workers 8
    """
    with problems():
        if options.fhir is not None and options.out is not None:
            _score_charts(options.fhir, options.out, options)
            return
        if options.fhir is not None or options.name is None or options.rows is None or options.out is None:
            raise BatchRefused(_lacking(options))
        view = options.view.read_text("utf-8") if options.view is not None else ""
        models_folder = options.folder if options.folder != ARTIFACTS else folder_of(options.name, settings())
        model = load(options.name, models_folder, own_keys(settings()))
        _say_withheld(model)
        job = ScoringJob(
            model, options.rows, options.out, options.identity, view, tuple(options.exclude or ()), options.explain,
            options.workers,
        )  # fmt: skip
        with progress_bars(options.as_json) as step:
            result = score_table(job, lambda done: step("rows", done, None))
    if options.as_json:
        print_json(result)
    else:
        _show(result, options.out)


def _lacking(options: ScoreOptions) -> str:
    """Return what is missing of a command, in a sentence."""
    of_table = {} if options.fhir is not None else {"NAME (a model's id)": options.name, "ROWS (a table)": options.rows}
    lacking = [words for words, given in (of_table | {"--out FILE": options.out}).items() if given is None]
    needed = "NAME, ROWS and --out FILE, or --fhir FOLDER and --out FILE"
    return f"Give {needed}; missing: {', '.join(lacking)}. Nothing was scored."


def _score_charts(folder: Path, out: Path, options: ScoreOptions) -> None:
    if options.rows or options.identity != "id" or options.view or options.exclude:
        raise BatchRefused("--fhir reads charts: leave out ROWS and the options about its columns.")
    names = tuple(options.only or ()) + ((options.name,) if options.name is not None else ())
    moment, is_past = moment_of(options.as_of)
    job = FhirJob(folder, moment, out, settings(), names, options.workers, as_it_stood if is_past else None)
    with progress_bars(options.as_json) as step:
        result = score_folder(job, lambda done: step("patients", done, None))
    if options.as_json:
        print_json(result)
    else:
        _show_charts(result, out)


def _say_withheld(model: BatchModel) -> None:
    """Tell whoever scores a model that it shows no cards here; for a study it may be scored."""
    withheld = why_withheld(model.model)
    if withheld is not None:
        typer.echo(f"This server would show no card of this model: {withheld}.", err=True)


def _show(result: ScoringResult, out: Path) -> None:
    for name in result.unsaid:
        typer.echo(f"The table has no column {name!r}: the services leave out who has died, here they stay.", err=True)
    if result.not_used:
        typer.echo(f"In {result.not_used:,} rows a value is not an exact number; not_used names the input.", err=True)
    typer.echo(f"{result.rows:,} rows: {out}")
    for model, count in sorted(result.scored.items()):
        typer.echo(f"  scored by {model}: {count:,}")
    for reason, count in sorted(result.not_scored.items()):
        typer.echo(f"  no score, {reason}: {count:,}")


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
        raise BatchRefused(f"--as-of: {day} is in the future; give today or an earlier day.")
    return end, end < now


def _show_charts(result: FhirResult, out: Path) -> None:
    read = result.resources
    if read.without_patient:
        typer.echo(f"{read.without_patient:,} resources name no patient of the folder: not used.", err=True)
    if read.unreadable:
        sentence = (
            f"{read.unreadable:,} lines or files are not FHIR and were not used. The first is in {read.unreadable_in}."
        )
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
