"""`cds-hooks record`: backs the record up, restores it, and exports it in forms that others read.

What the commands that read the record share: where it is, with which keys it is read, and whom it names how.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cards.rules.engine.governance import SiteRules
from cds_hooks.approvals import ApprovalBook
from cds_hooks.audit.transfer import ExportForm, back_up, restore
from cds_hooks.audit.transfer import export as export_decisions
from cds_hooks.governance import read_rules_file
from cds_hooks.settings import settings
from cds_hooks.storage.content import UserNames, read_user_keys, use_site_keys
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import DecisionFilter


def record_url(database: str | None) -> str:
    """The address of the record; from now on its content is read with the site's keys."""
    use_site_keys(settings())
    return database or settings().database_url


def site_approvals(database: str | None = None, people: Path | None = None) -> ApprovalBook:
    """What people of the site have signed, as the record has it; nothing where there is no record yet.

    Raises:
        PeopleFileError: The file of people cannot be used.
    """
    book = ApprovalBook(database or settings().database_url, people or settings().people_file)
    with suppress(RecordUnavailable):
        book.read()
    return book


def site_rules(file: Path | None) -> SiteRules:
    """What the site says of the rules: with two keys where it has a trust file or names its people, else as typed.

    Raises:
        RulesFileError, PeopleFileError: A file cannot be used.
    """
    path = file or settings().rules_file
    said = read_rules_file(path) if path is not None else SiteRules()
    signed = settings().trust_file is not None or settings().people_file is not None
    return site_approvals().in_force(said) if signed else said


def possible_users(client: str, user: str) -> list[str]:
    """Under what a decision shown to this user can be recorded."""
    keys: tuple[bytes, ...] = ()
    with suppress(RecordUnavailable):  # without keys the record can still name the user in the clear
        keys = read_user_keys(settings().user_keys)
    return UserNames("hashed", keys).possible(client, user)


def microseconds(time: datetime | None) -> int | None:
    """Microseconds since 1970 of a time that is UTC where it names no zone."""
    if time is None:
        return None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)


app = typer.Typer(no_args_is_help=True, help="Back up, restore and export the record.")

Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="SQLAlchemy URL of the record; else CDS_DATABASE_URL.")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The backup, which must not be there yet.")], database: Database = None
) -> None:
    """Write the whole record into one compressed file, while the server runs. What is encrypted stays so.

    Example: cds-hooks record backup record-2026-11-20.ndjson.xz
    """
    with _said_in_a_sentence():
        rows = back_up(record_url(database), file)
    typer.echo(f"{file}: {rows} rows, {file.stat().st_size} bytes.")


@app.command("restore")
def restore_(file: Annotated[Path, typer.Argument(help="The backup.")], database: Database = None) -> None:
    """Put a backup into an empty record, of SQLite or of PostgreSQL. Then compare it with its seals.

    Example: cds-hooks record restore record-2026-11-20.ndjson.xz --database sqlite:///var/restored.sqlite3
    """
    with _said_in_a_sentence():
        rows = restore(file, record_url(database))
    typer.echo(f"{rows} rows restored. Verify them: cds-hooks audit verify --against SEALS")


@app.command()
def export(
    form: Annotated[
        ExportForm, typer.Option("--format", help="ndjson (everything), csv (a line each), or fhir.")
    ] = "ndjson",
    client: Annotated[str | None, typer.Option(help="Of this client only.")] = None,
    patient: Annotated[str | None, typer.Option(help="About this patient only.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Not before this time (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (UTC).")] = None,
    database: Database = None,
) -> None:
    """Print decisions, the newest first: as NDJSON with everything, as CSV, or as FHIR AuditEvent (NDJSON).

    Example: cds-hooks record export --format fhir --since 2026-11-01
    """
    wanted = DecisionFilter(client=client, patient=patient, since=microseconds(since), until=microseconds(until))
    with _said_in_a_sentence():
        export_decisions(record_url(database), wanted, form, sys.stdout.buffer)


@contextmanager
def _said_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except (RecordUnavailable, OSError) as error:
        typer.echo(f"{str(error)[0].upper()}{str(error)[1:]}.", err=True)
        raise typer.Exit(1) from error
