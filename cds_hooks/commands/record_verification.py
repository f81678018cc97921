"""`cds-hooks record seal` and `record verify`: seals the record, and checks that nobody changed it."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from cds_hooks.access.recorded_acts import wrong_accounts
from cds_hooks.audit.seals import Sealing, SealsUnusable, add_seal, read_seals
from cds_hooks.audit.verification import Audit, audit
from cds_hooks.commands.options import AsJson, Database, print_json
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import as_sentence, failure, said_in_a_sentence
from cds_hooks.monitor.finder import note_verification
from cds_hooks.settings import Settings, settings
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import Keys, local_signer, public_file, read_keys, read_signer
from models_onnx.errors import SignatureRefused


def seal(
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make the key that seals the record, with the public half beside it."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key; else CDS_SEAL_KEY.")] = None,
    to: Annotated[Path | None, typer.Option(help="File to which the seal is added; else CDS_SEAL_FILE.")] = None,
    database: Database = None,
) -> None:
    """Seal what is new in the record once; from a machine of its own, with nothing but the right to read.

    With --new-key only the key is made. Keep it away from the database and its backups.

    Example: cds-hooks record seal --key seal-key.pem --to seals.ndjson
    """
    if new_key is not None:
        _make_key(new_key)
        return
    configured = settings()
    with _said_in_a_sentence():
        path = key or configured.seal_key
        if path is None:
            raise SealsUnusable("give the private key with --key or CDS_SEAL_KEY")
        url = record_url(database)
        if to is None and database is None and key is None:
            worked = Sealing(configured).seal()  # sends it on, too
            typer.echo("Sealed and sent." if worked else "Not sealed or not sent: see the log.", err=not worked)
            raise typer.Exit(0 if worked else 1)
        line = add_seal(url, to or configured.seal_file, read_signer(path, "record"))
    typer.echo(line if line is not None else b"Nothing is new since the last seal.")


def verify(
    against: Annotated[
        Path | None, typer.Option(metavar="SEALS", help="Compare with the seals, as they arrived elsewhere.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The public key (.pub.json); else that of CDS_SEAL_KEY.")] = None,
    archives: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the record's archives, which are looked into, too.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash of every row; exit code 1 where one was rewritten, deleted, cut off or put in.

    Keep what it prints: a later run must reach at least as far in every chain, with the same hash at that row. With
    --against the record is compared with its seals, which shows also what was rewritten with new hashes.

    Example: cds-hooks record verify --against seals.ndjson --key seal-key.pub.json
    """
    configured = settings()
    with _said_in_a_sentence(), Progress(console=Console(stderr=True), transient=True) as progress:
        keys = _public_keys(key, configured, needs_key=against is not None)
        url = record_url(database)
        seals = read_seals(against, keys) if against is not None and keys is not None else []
        task = progress.add_task("Decisions", total=None)
        report = audit(url, seals, lambda done: progress.update(task, completed=done), keys, archives)
        report.findings += wrong_accounts(url)
    note_verification(url, configured.counts_file, report.decisions, report.findings[0] if report.findings else "")
    if as_json:
        ends = report.ends.items()
        chains = [{"chain": chain, "decisions": rows, "hash": digest} for chain, (rows, digest) in ends]
        print_json({**asdict(report), "chains": chains})
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


def _make_key(out: Path) -> None:
    with _said_in_a_sentence():
        _, made = local_signer(out, "record")
    if not made:
        raise failure(f"{out} is there already; nothing was changed.")
    typer.echo(f"Private key: {out}. Public key, for whoever verifies: {public_file(out)}.")


def _draw(report: Audit) -> None:
    for chain, (rows, digest) in report.ends.items():
        typer.echo(f"chain {chain}: {rows} rows, up to {digest}")
    for finding in report.findings:
        typer.echo(as_sentence(finding))
    state = "is not" if report.findings else "is"
    if report.seals:
        typer.echo(
            f"The record {state} as it was sealed: {report.decisions} decisions ({report.unsealed} after the newest of "
            f"{report.seals} seals, {report.archived} archived), {report.feedback} rows of feedback "
            f"({report.unsealed_feedback} after it), {report.outcomes} outcomes ({report.unsealed_outcomes} after it), "
            f"{report.events} events ({report.unsealed_events} after it)."
        )
    else:
        archived = f"; {report.archived} more are archived" if report.archived else ""
        counts = f"{report.decisions} decisions in {len(report.ends)} chains{archived}"
        typer.echo(f"The record {state} as it was written: {counts}.")
        typer.echo(
            "Without seals (--against) this shows that no row was changed by itself. It does not show a record "
            "of which the end is missing, or all hashes were made anew."
        )


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, SealsUnusable, SignatureRefused, OSError)
