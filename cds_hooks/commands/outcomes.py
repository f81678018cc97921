"""`cds-hooks outcomes`: takes in what happened after the decisions, lists and counts it."""

import csv
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import AsJson, Client, Database, failure, print_json, said_in_a_sentence
from cds_hooks.commands.record_options import record_url
from cds_hooks.outcomes.files import Form, Lines, WrongFile, read_file
from cds_hooks.outcomes.joining import REFUSALS, Intake, Sender, take_reports
from cds_hooks.outcomes.labels import site_labels
from cds_hooks.settings import settings
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.outcomes import completed, count_outcomes, list_outcomes

app = typer.Typer(no_args_is_help=True, help="Take in what happened after the decisions, list it and count it.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON, or FHIR R4 resources (NDJSON or a Bundle).")],
    client: Annotated[str, typer.Option(help="Whose decisions it is about: the client's name in the trust file.")],
    form: Annotated[Form | None, typer.Option("--format", help="Else told from the name and the content.")] = None,
    observation: Annotated[
        list[str] | None,
        typer.Option(metavar="SYSTEM|CODE=EVENT", help="The event that an Observation with this code says."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Join and count, store nothing.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Take in a file of outcomes; one wrong line refuses the file. What was taken in before is not taken in again.

    Exit codes: 0 taken in, 1 nothing of it belongs to a decision, or the file or the record cannot be used.

    Example: cds-hooks outcomes import outcomes.csv --client "Example hospital"
    """
    with _said_in_a_sentence():
        observations = dict(_observation(option) for option in observation or ())
        url = record_url(database)
        upgrade_schema(parse_url(url))
        lines = read_file(file, form, observations)
        sender = Sender(client, lines.source, time_ns() // 1000)
        done = take_reports(url, lines.reports, sender, site_labels(settings()), stored=not dry_run)
    if as_json:
        typer.echo(orjson.dumps(msgspec.to_builtins(done)))
    else:
        _say(done, lines, dry_run)
    if not done.joined:
        raise typer.Exit(1)


def _say(done: Intake, lines: Lines, dry_run: bool) -> None:
    would = "would be joined" if dry_run else "joined"
    typer.echo(
        f"{len(lines.reports)} reports: {done.joined} outcomes {would} to decisions, {done.stored} of them new, "
        f"{len(done.refused)} reports not joined; {lines.skipped} other resources left out."
    )
    for reason, count in Counter(refusal.reason for refusal in done.refused).most_common():
        typer.echo(f"{count} x {reason}: {REFUSALS[reason]}")


def _observation(text: str) -> tuple[str, str]:
    code, _, event = text.rpartition("=")
    if not event or "|" not in code:
        raise WrongFile(f"--observation {text}: write system|code=event, such as http://loinc.org|12345-6=fall")
    return code, event


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many rows.")] = 20,
    client: Client = None,
    subject: Annotated[str | None, typer.Option(help="Of this model, card or suggestion only.")] = None,
    summary: Annotated[
        bool,
        typer.Option("--summary", help="Count them by client, model and value; say when each model's are mature."),
    ] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """List outcomes with all their versions, the newest first, or count them.

    Example: cds-hooks outcomes list --subject mortality_5y
    """
    if summary:
        _summarise(record_url(database), as_json)
        return
    with _said_in_a_sentence():
        outcomes = list_outcomes(record_url(database), limit, client, subject)
    if as_json:
        print_json([msgspec.to_builtins(outcome) for outcome in outcomes])
        return
    table = _table("received", "client", "kind", "outcome", "happened", "version", "decision")
    for outcome in outcomes:
        received = datetime.fromtimestamp(outcome.received_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
        sentence = f"{outcome.subject}: {outcome.value}"
        table.add_row(
            received,
            outcome.client,
            outcome.kind,
            sentence,
            outcome.happened or "",
            str(outcome.version),
            outcome.decision or "",
        )
    Console().print(table) if outcomes else typer.echo("No outcome is in the record.")


def _refuse_unknown(model: str, labels: Collection[str]) -> None:
    if model.partition("@")[0] not in labels:
        names = ", ".join(labels)
        raise failure(f"No model {model} has outcomes here; there are {names} (CDS_MODELS_FOLDER names a site's own).")


@app.command()
def dataset(
    model: Annotated[str, typer.Argument(metavar="NAME", help="The model's id.")],
    out: Annotated[Path, typer.Option(help="Where the table goes (CSV).")],
    database: Database = None,
) -> None:
    """Write a model's mature estimates with what happened after them as a table for training and recalibration.

    One row for each decision: its hashed patient, a fold by patient, the inputs as they were then, race and ethnicity
    where recorded, the outcome under the model's own column, and the estimate. A decision is left out until its
    horizon and label lag have passed, and where nobody reported whether the event came.

    Exit codes: 0 written, 1 no decision is mature with a known outcome, or the record cannot be read.

    Example: cds-hooks outcomes dataset readmission_30d --out tables/readmission_30d.csv
    """
    from cds_hooks.outcomes.followed import followed, table_rows
    from cds_hooks.trusted_models import folder_of
    from models_onnx.artifact.files import whole_file
    from models_onnx.artifact.folder import read_manifest
    from models_onnx.errors import ModelError

    with said_in_a_sentence(RecordUnavailable, ModelError, OSError):
        configured = settings()
        labels = site_labels(configured)
        _refuse_unknown(model, labels)
        manifest = read_manifest(folder_of(model, configured) / model)
        label = labels[manifest.id]
        rows = list(followed(record_url(database), label, time_ns() // 1000))
        if not rows:
            raise failure(f"No decision of {model} is mature with a known outcome: nothing was written.")
        lines = list(table_rows(rows, [item.name for item in manifest.features], manifest.outcome.column))
        with whole_file(out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    patients, events = len({row.patient for row in rows}), sum(row.event for row in rows)
    typer.echo(f"{out}: {len(rows):,} rows of {patients:,} patients, {events:,} with the event.")


def _summarise(url: str, as_json: bool) -> None:
    with _said_in_a_sentence():
        counts, days = count_outcomes(url), completed(url)
    labels = site_labels(settings())
    if as_json:
        names = ("client", "kind", "subject", "value", "outcomes", "corrected")
        document: dict[str, Any] = {
            "outcomes": [dict(zip(names, count, strict=True)) for count in counts],
            "complete": [{"client": c, "event": event, "through": day} for (c, event), day in sorted(days.items())],
            "models": [msgspec.to_builtins(label) for label in labels.values()],
        }
        print_json(document)
        return
    table = _table("client", "kind", "subject", "value", "outcomes", "corrected")
    for client, kind, subject, value, count, corrected in counts:
        table.add_row(client, kind, subject, value, f"{count:,}", f"{corrected:,}")
    Console().print(table) if counts else typer.echo("No outcome is in the record.")
    for (client, event), day in sorted(days.items()):
        typer.echo(f"{client} has sent every {event} up to {day}.")
    for label in labels.values():
        event = label.event or "what it predicts (by prediction only)"
        typer.echo(
            f"{label.model}: {event} within {label.horizon_days:g} days; mature {label.lag_days:g} days after that."
        )


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, WrongFile, OSError)
