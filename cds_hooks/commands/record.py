"""`cds-hooks record`: backup, restore, export, archives of what is old, legal holds, seals and their verification.

What the commands that read the record share: where it is, with which keys it is read, and whom it names how.
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer
from msgspec import structs

from cards.rules.engine.governance import SiteRules
from cds_hooks.audit.archive import Archive, archive, archives, is_archive, restore_archive
from cds_hooks.audit.holds import HeldBy, hold, holds, release
from cds_hooks.audit.transfer import ExportForm, back_up, restore
from cds_hooks.audit.transfer import export as export_decisions
from cds_hooks.commands.options import AsJson, Before, Client, Database, Since
from cds_hooks.commands.record_options import microseconds, record_url
from cds_hooks.commands.record_verification import seal, verify
from cds_hooks.commands.sentences import failure, said_in_a_sentence
from cds_hooks.hold_back.approvals import ApprovalBook
from cds_hooks.hold_back.rules_file import read_rules_file
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import DecisionFilter
from models_onnx.artifact.keys import read_signer
from models_onnx.errors import SignatureRefused


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
    rules_file = read_rules_file(path) if path is not None else SiteRules()
    signed = settings().trust_file is not None or settings().people_file is not None
    return site_approvals().in_force(rules_file) if signed else rules_file


app = typer.Typer(no_args_is_help=True, help="Back up, restore, export, archive, hold, seal and verify the record.")
app.command()(seal)
app.command()(verify)


By = Annotated[str | None, typer.Option("--by", help="Who does it, for the record; else the user of this shell.")]


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
def restore_(
    file: Annotated[Path, typer.Argument(help="A backup, or an archive of this record.")],
    by: By = None,
    database: Database = None,
) -> None:
    """Put a backup into an empty record, of SQLite or of PostgreSQL, or bring an archive back into its own record.

    Example: cds-hooks record restore record-2026-11-20.ndjson.xz --database sqlite:///var/restored.sqlite3
    """
    with _said_in_a_sentence():
        url = record_url(database)
        if is_archive(file):
            made = restore_archive(file, url, _actor(by))
            typer.echo(f"Restored: {made.words}. They stay until they are archived again.")
            return
        rows = restore(file, url)
    typer.echo(f"{rows} rows restored. Verify them: cds-hooks record verify --against SEALS")


@app.command("archive")
def archive_(
    client: Annotated[str | None, typer.Option(help="Of this client; its name in the trust file.")] = None,
    older_than: Annotated[
        int | None, typer.Option(min=1, max=36_500, metavar="DAYS", help="Decisions made more than so many days ago.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="The archive, which must not be there yet.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key that seals the record; else CDS_SEAL_KEY.")] = None,
    by: By = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Move a client's old decisions, with the answers to them, into a sealed file, while the server runs.

    Without --client the archives are listed: where each was written, of which client and time.

    What a hold is about stays. The chain is verified with and without the file; keep it, or what it held is gone.

    Example: cds-hooks record archive --client "Example hospital" --older-than 730 --to 2024.archive.xz
    """
    if client is None:
        _list_archives(database, as_json)
        return
    if older_than is None or to is None:
        raise failure("Give --older-than DAYS and --to FILE, too.", 2)
    with _said_in_a_sentence():
        url, path = record_url(database), key or settings().seal_key
        if path is None:
            raise RecordUnavailable("give the key that seals the record with --key or CDS_SEAL_KEY")
        before = int((datetime.now(UTC) - timedelta(days=older_than)).timestamp() * 1e6)
        made = archive(url, client, before, to, _actor(by), read_signer(path, "record"))
    if made is None:
        typer.echo(f"Nothing of {client} is that old, or all of it is held; nothing was written.")
        return
    typer.echo(
        f"{made.path}: {made.decisions} decisions, {made.feedback} rows of feedback "
        f"and {made.outcomes} outcomes, sha256 {made.sha256}."
    )


@app.command("hold")
def hold_(
    why: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    client: Annotated[str | None, typer.Option(help="Everything of this client.")] = None,
    patient: Annotated[str | None, typer.Option(help="Everything about this patient.")] = None,
    decision: Annotated[str | None, typer.Option(help="This decision.")] = None,
    end: Annotated[str | None, typer.Option(metavar="HOLD", help="End the hold with this id.")] = None,
    by: By = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Hold what must not be removed, end a hold, or list the holds that are in force.

    A hold is on everything of a client, on everything about a patient, or on one decision. To hold and to end a hold
    is an entry in the record. Without an option the holds are listed.

    Example: cds-hooks record hold --patient example-patient --why "request of the legal department"
    """
    subjects = {"client": client, "patient": patient, "decision": decision, "end": end}
    chosen = [(name, value) for name, value in subjects.items() if value]
    if not chosen and why is None:
        _list_holds(database, as_json)
        return
    if len(chosen) != 1 or not why:
        raise failure("Give one of --client, --patient, --decision and --end, and --why.", 2)
    ((name, value),) = chosen
    with _said_in_a_sentence():
        if name == "end":
            release(record_url(database), value, why, _actor(by))
            typer.echo(f"Hold {value} has ended.")
            return
        made = hold(record_url(database), cast("HeldBy", name), value, why, _actor(by))
    typer.echo(f"Hold {made} is in force; cds-hooks record hold --end {made} ends it.")


def _list_holds(database: str | None, as_json: bool) -> None:
    with _said_in_a_sentence():
        in_force = holds(record_url(database))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(in_force)))
        return
    for item in in_force:
        typer.echo(f"{item.id}: {item.by} {item.value}, since {item.at:%Y-%m-%d}, by {item.actor}: {item.why}")
    if not in_force:
        typer.echo("No hold is in force.")


def _list_archives(database: str | None, as_json: bool) -> None:
    with _said_in_a_sentence():
        written = archives(record_url(database))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode([_archive(item) for item in written])))
        return
    for item in written:
        typer.echo(f"{item.words}: written to {item.path}, sha256 {item.sha256}")
    if not written:
        typer.echo("Nothing was archived.")


def _archive(archive: Archive) -> dict[str, object]:
    """An archive with its times as instants, as everywhere in JSON of this program."""
    moments = ("first_at", "last_at", "before")
    return structs.asdict(archive) | {
        name: datetime.fromtimestamp(getattr(archive, name) / 1e6, UTC) for name in moments
    }


@app.command()
def export(
    form: Annotated[
        ExportForm, typer.Option("--format", help="ndjson (everything), csv (a line each), or fhir.")
    ] = "ndjson",
    client: Client = None,
    patient: Annotated[str | None, typer.Option(help="About this patient only.")] = None,
    since: Since = None,
    until: Before = None,
    database: Database = None,
) -> None:
    """Print decisions, the newest first: as NDJSON with everything, as CSV, or as FHIR AuditEvent (NDJSON).

    Example: cds-hooks record export --format fhir --since 2026-11-01
    """
    wanted = DecisionFilter(client=client, patient=patient, since=microseconds(since), until=microseconds(until))
    with _said_in_a_sentence():
        export_decisions(record_url(database), wanted, form, sys.stdout.buffer)


def _actor(by: str | None) -> str:
    return by or getuser()


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, SignatureRefused, OSError)
