"""`cds-hooks record`: seals and their verification, backup, export, retention and legal holds."""

import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer

from cards.rules.engine.governance import SiteRules
from cds_hooks.call.hold_back.site_file import read_rules_file
from cds_hooks.evidence.audit.holds import HeldBy, hold, holds, release
from cds_hooks.evidence.audit.retention import RetentionRun, remove_old, verify_file
from cds_hooks.evidence.audit.seals import Sealing, SealsUnusable, add_seal, read_seals
from cds_hooks.evidence.audit.transfer import ExportForm, back_up, restore
from cds_hooks.evidence.audit.transfer import export as export_decisions
from cds_hooks.evidence.audit.verification import Audit, audit
from cds_hooks.evidence.decision_views.file import Views, views_file
from cds_hooks.evidence.monitor.finder import note_verification
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import DecisionFilter
from cds_hooks.people.access.store import wrong_accounts
from cds_hooks.people.governance.approvals import ApprovalBook, approvals_of
from cds_hooks.settings import Settings, settings
from cds_hooks.tools.commands.options import (
    AsJson,
    Before,
    Client,
    Database,
    Since,
    as_sentence,
    failure,
    print_json,
    progress_bars,
    said_in_a_sentence,
)
from cds_hooks.tools.commands.record_options import note_export, record_url
from cds_hooks.tools.kit.commands.plain_group import PlainGroup
from models_onnx.artifact.keys import Keys, local_signer, public_file, read_keys, read_signer
from models_onnx.errors import SignatureRefused

app = typer.Typer(
    cls=PlainGroup,
    no_args_is_help=True,
    add_completion=False,
    help="Seal, verify, back up and export the record; hold what must stay in it.",
)

By = Annotated[str | None, typer.Option(help="Who does it; else the user of this shell.")]
SealKey = Annotated[Path | None, typer.Option("--key", help="The key that seals the record; else CDS_SEAL_KEY.")]

_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, SealsUnusable, SignatureRefused, OSError)


def site_approvals() -> ApprovalBook:
    """Return what people of the site have approved, as the record has it; nothing where there is no record yet."""
    book = approvals_of(settings())
    with suppress(RecordUnavailable):
        book.read()
    return book


def site_rules() -> SiteRules:
    """Return what the site says of the rules: as two people approved them where it has a trust file, else as typed.

    Raises:
        RulesFileError: The file cannot be used.
    """
    path = settings().rules_file
    rules_file = read_rules_file(path) if path is not None else SiteRules()
    return site_approvals().in_force(rules_file) if settings().trust_file is not None else rules_file


@app.command()
def seal(
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make the key that seals the record, with the public half beside it."),
    ] = None,
    key: SealKey = None,
    to: Annotated[Path | None, typer.Option(help="File to which the seal is added; else var/seals.ndjson.")] = None,
    database: Database = None,
) -> None:
    """Seal what is new in the record once; from a machine of its own, with nothing but the right to read.

    With --new-key only the key is made. Keep it away from the database and its backups.

    Example: cds-hooks record seal --key seal-key.pem --to seals.ndjson
    """
    with _said_in_a_sentence():
        if new_key is not None:
            _, is_new = local_signer(new_key, "record")
            if not is_new:
                raise failure(f"{new_key} is there already; nothing was changed.")
            typer.echo(f"Private key: {new_key}. Public key, for whoever verifies: {public_file(new_key)}.")
            return
        configured = settings()
        url, path = record_url(database), _seal_key(key)
        if to is None and database is None and key is None:
            worked = Sealing(configured).seal()  # sends it on, too
            typer.echo("Sealed and sent." if worked else "Not sealed or not sent: see the log.", err=not worked)
            raise typer.Exit(0 if worked else 1)
        line = add_seal(url, to or configured.seal_file, read_signer(path, "record"))
    typer.echo(line if line is not None else b"Nothing is new since the last seal.")


def _seal_key(key: Path | None) -> Path:
    path = key or settings().seal_key
    if path is None:
        raise SealsUnusable(
            "no private key was given, so nothing was done. Name its file with --key FILE or in CDS_SEAL_KEY"
        )
    return path


@app.command()
def verify(
    against: Annotated[
        Path | None, typer.Option(metavar="SEALS", help="Compare with the seals, as they arrived elsewhere.")
    ] = None,
    exported: Annotated[
        Path | None, typer.Option("--file", help="Verify a file of removed decisions by itself, without the record.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The public key (.pub.json); else that of CDS_SEAL_KEY.")] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash of every row; exit code 1 where one was rewritten, deleted, cut off or put in.

    Keep what it prints: a later run must reach at least as far, with the same hash at that row. With
    --against the record is compared with its seals, which shows also what was rewritten with new hashes.

    Example: cds-hooks record verify --against seals.ndjson --key seal-key.pub.json
    """
    configured = settings()
    with _said_in_a_sentence(), progress_bars() as step:
        keys = _public_keys(key, configured, needs_key=against is not None or exported is not None)
        if exported is not None:
            typer.echo(f"{exported} is as it was recorded: {_counts(verify_file(exported, keys or {}))}.")
            return
        url = record_url(database)
        seals = read_seals(against, keys) if against is not None and keys is not None else []
        note = partial(note_verification, url, Views(views_file(configured, url)))
        try:
            report = audit(url, seals, lambda done: step("Decisions", done, None), keys)
            report.findings += wrong_accounts(url)
        except RecordUnavailable as error:
            note(0, str(error))
            raise
    note(report.decisions, report.findings[0] if report.findings else "")
    if as_json:
        row, digest = report.newest
        print_json({**asdict(report), "newest": {"row": row, "hash": digest}})
    else:
        _draw(report)
    raise typer.Exit(1 if report.findings else 0)


def _public_keys(key: Path | None, configured: Settings, *, needs_key: bool) -> Keys | None:
    path = key or (public_file(configured.seal_key) if configured.seal_key else None)
    if path is not None:
        return read_keys(path)
    if needs_key:
        raise SealsUnusable("give the public key with --key; a key from beside the database proves nothing")
    return None


def _draw(report: Audit) -> None:
    row, digest = report.newest
    if row:
        typer.echo(f"newest row: {row}, {digest}")
    for finding in report.findings:
        typer.echo(as_sentence(finding))
    state = "is not" if report.findings else "is"
    if report.seals:
        typer.echo(
            f"The record {state} as it was sealed: {report.decisions} decisions ({report.removed} removed), "
            f"{report.feedback} rows of feedback, {report.outcomes} outcomes, {report.events} events; "
            f"{report.unsealed} of these rows came after the newest of {report.seals} seals."
        )
    else:
        removed = f"; {report.removed} more were removed by retention runs" if report.removed else ""
        counts = f"{report.decisions} decisions{removed}"
        typer.echo(f"The record {state} as it was written: {counts}.")
        typer.echo(
            "Without seals (--against) this shows that no row was changed by itself. It does not show whether "
            "rows at the end are missing or all hashes were made anew."
        )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The backup: a new file, with --restore one that is there.")],
    restored: Annotated[
        bool, typer.Option("--restore", help="Put the file into an empty record, of SQLite or of PostgreSQL.")
    ] = False,
    database: Database = None,
) -> None:
    """Copy the whole record into a file, while the server runs, or put such a file into an empty record.

    Its hash chain and seals hold after it was restored. What is encrypted stays so.

    Example: cds-hooks record backup record-2026-11-20.ndjson.xz
    """
    with _said_in_a_sentence():
        url = record_url(database)
        if restored:
            rows = restore(file, url)
            typer.echo(f"{rows} rows restored. Verify them: cds-hooks record verify --against SEALS")
            return
        if file.exists():
            typer.echo(f"{file} exists already; nothing was written. Name a new file.", err=True)
            raise typer.Exit(1)
        note_export(url, "record backup")
        rows = back_up(url, file)
    typer.echo(f"{file}: {rows} rows, {file.stat().st_size} bytes.")


@app.command()
def export(
    form: Annotated[
        ExportForm, typer.Option("--format", help="ndjson (everything), csv (a line each) or fhir.")
    ] = "ndjson",
    client: Client = None,
    patient: Annotated[str | None, typer.Option(help="About this patient only.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=10_000_000, help="How many, at most; else all.")] = None,
    since: Since = None,
    until: Before = None,
    remove_older_than: Annotated[
        int | None,
        typer.Option(
            min=1, max=36_500, metavar="DAYS", help="Take decisions of --client that are older out of the record."
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New file for what is taken out, of the form of a backup.")
    ] = None,
    key: SealKey = None,
    by: By = None,
    database: Database = None,
) -> None:
    """Print decisions, the newest first: as NDJSON with everything, as CSV, or as FHIR AuditEvent (NDJSON).

    With --remove-older-than a client's old decisions, with the answers to them, are written to a file and then taken
    out, while the server runs. The cut is signed, and the links stay in the chain; what a hold is about stays. The
    file is read again with record backup --restore, in a record of its own.

    Example: cds-hooks record export --format csv --limit 5 --since 2026-11-01
    """
    if remove_older_than is not None:
        if client is None or to is None:
            needed = "--remove-older-than also needs --client NAME and --to FILE."
            raise failure(f"{needed} Nothing was written or removed.", 2)
        _remove_old(client, remove_older_than, to, key, by, database)
        return
    wanted = DecisionFilter(client=client, patient=patient, since=since, until=until)
    with _said_in_a_sentence():
        url = record_url(database)
        note_export(url, f"record export --format {form}")
        export_decisions(url, wanted, form, sys.stdout.buffer, limit)


def _remove_old(client: str, days: int, file: Path, key: Path | None, by: str | None, database: str | None) -> None:
    with _said_in_a_sentence():
        signer = read_signer(_seal_key(key), "record")
        before = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1e6)
        run = remove_old(record_url(database), client, before, file, by or getuser(), signer)
    if run is None:
        typer.echo(f"Nothing of {client} is that old, or all of it is held; nothing was taken out.")
        return
    typer.echo(f"{file}: {_counts(run)}; they are no longer in the record. Verify it: record verify --file {file}")


def _counts(run: RetentionRun) -> str:
    return f"{run.decisions} decisions, {run.feedback} rows of feedback and {run.outcomes} outcomes"


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
    """Hold what must not be taken out, end a hold, or list the holds that are in force.

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
            release(record_url(database), value, why, by or getuser())
            typer.echo(f"Hold {value} has ended.")
            return
        hold_id = hold(record_url(database), cast("HeldBy", name), value, why, by or getuser())
    typer.echo(f"Hold {hold_id} is in force; cds-hooks record hold --end {hold_id} ends it.")


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
