"""`cds-hooks outcomes`: takes in what happened after the decisions."""

from collections import Counter
from functools import partial
from pathlib import Path
from time import time_ns
from typing import Annotated

import msgspec
import orjson
import typer

from cds_hooks.evidence.outcomes.files import WrongFile, read_file
from cds_hooks.evidence.outcomes.joining import REFUSALS, Intake, Sender, take_reports
from cds_hooks.evidence.outcomes.labels import site_labels
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, Database, failure, said_in_a_sentence
from cds_hooks.tools.commands.record_options import record_url


def outcomes(
    file: Annotated[Path, typer.Argument(help="A CSV file, whose columns are the members of a report.")],
    client: Annotated[
        str | None, typer.Option(help="Whose decisions the file is about: the client's name in the trust file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Join and count, store nothing.")] = False,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Take in a file of what happened after the decisions.

    One wrong line refuses the file. What was taken in before is not taken in again. The page of a decision shows its
    outcomes with every version, the report of monitor what is missing.

    Exit codes: 0 done, 1 nothing of the file belongs to a decision, or the file or the record cannot be used, 2 no
    client is named.

    Example: cds-hooks outcomes outcomes.csv --client "Example hospital"
    """
    if client is None:
        raise failure("Name the client whose decisions the file is about with --client.", 2)
    _take_in(file, client, dry_run, as_json, database)


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


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, WrongFile, OSError)
