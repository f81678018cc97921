"""`cds-hooks outcomes`: takes in what happened after the decisions, lists and counts it."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich import box
from rich.table import Table

from cds_hooks.evidence.outcomes.files import WrongFile, read_file
from cds_hooks.evidence.outcomes.joining import REFUSALS, Intake, Sender, take_reports
from cds_hooks.evidence.outcomes.labels import site_labels
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.outcomes import completed, count_outcomes, list_outcomes
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, Database, failure, print_json, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url
from cds_hooks.tools.kit.tables import print_table


def outcomes(
    file: Annotated[
        Path | None, typer.Argument(help="Take in this CSV file, whose columns are the members of a report.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(help="Whose decisions the file is about: the client's name in the trust file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Join and count, store nothing.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="List at most so many rows.")] = 20,
    subject: Annotated[str | None, typer.Option(help="List those of this model, card or suggestion only.")] = None,
    summary: Annotated[
        bool,
        typer.Option("--summary", help="Count them by client, model and value; say when each model's are mature."),
    ] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Take in a file of what happened after the decisions; without one, list outcomes or count them.

    One wrong line refuses the file, which takes --client. What was taken in before is not taken in again. The list has
    every version, the newest first.

    Exit codes: 0 done, 1 nothing of the file belongs to a decision, or the file or the record cannot be used, 2 the
    file has no client.

    Example: cds-hooks outcomes outcomes.csv --client "Example hospital"
    """
    if file is not None:
        if client is None:
            raise failure("Name the client whose decisions the file is about with --client.", 2)
        _take_in(file, client, dry_run, as_json, database)
    elif summary:
        _summarise(record_url(database), as_json)
    else:
        _list(limit, client, subject, as_json, database)


def _take_in(file: Path, client: str, dry_run: bool, as_json: bool, database: str | None) -> None:
    with _said_in_a_sentence():
        url = record_url(database)
        upgrade_schema(parse_url(url))
        reports = read_file(file)
        sender = Sender(client, "csv", time_ns() // 1000)
        done = take_reports(url, reports, sender, site_labels(settings()), stored=not dry_run)
    if as_json:
        typer.echo(orjson.dumps(msgspec.to_builtins(done)))
    else:
        _say(done, len(reports), dry_run)
    if not done.joined:
        raise typer.Exit(1)


def _say(done: Intake, count: int, dry_run: bool) -> None:
    would = "would be joined" if dry_run else "joined"
    typer.echo(
        f"{count} reports: {done.joined} outcomes {would} to decisions, {done.stored} of them new, "
        f"{len(done.refused)} reports not joined."
    )
    for reason, count in Counter(refusal.reason for refusal in done.refused).most_common():
        typer.echo(f"{count} x {reason}: {REFUSALS[reason]}")


def _list(limit: int, client: str | None, subject: str | None, as_json: bool, database: str | None) -> None:
    with _said_in_a_sentence():
        listed = list_outcomes(record_url(database), limit, client, subject)
    if as_json:
        print_json([msgspec.to_builtins(outcome) for outcome in listed])
        return
    table = _table("received", "client", "kind", "outcome", "happened", "version", "decision")
    for outcome in listed:
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
    print_table(table) if listed else typer.echo("No outcome is in the record.")


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
    print_table(table) if counts else typer.echo("No outcome is in the record.")
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
        table.add_column(column)
    return table


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, WrongFile, OSError)
