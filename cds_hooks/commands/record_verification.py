"""`cds-hooks record seal` and `record verify`: seals the record, and checks that nobody changed it."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from cds_hooks.audit.seals import Sealing, SealsUnusable, add_seal, read_seals
from cds_hooks.audit.verification import audit
from cds_hooks.commands.options import AsJson, Database
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import as_sentence, said_in_a_sentence
from cds_hooks.monitor.finder import note_verification
from cds_hooks.settings import settings
from cds_hooks.storage.chain import Verification, verify_chain
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import local_signer, public_file, read_keys, read_signer
from models_onnx.errors import SignatureRefused


def seal(
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make the key that seals the record, with the public half beside it."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The private key; else CDS_SEAL_KEY.")] = None,
    to: Annotated[Path | None, typer.Option(help="File to which the seal is added; else var/seals.ndjson.")] = None,
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
    if against is None:
        _verify_chain(database, as_json)
    else:
        _verify_seals(against, key, archives, database, as_json)


def _make_key(out: Path) -> None:
    with _said_in_a_sentence():
        _, made = local_signer(out, "record")
    if not made:
        typer.echo(f"{out} is there already; nothing was changed.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Private key: {out}. Public key, for whoever verifies: {public_file(out)}.")


def _verify_chain(database: str | None, as_json: bool) -> None:
    with _said_in_a_sentence(), Progress(console=Console(stderr=True), transient=True) as progress:
        url = record_url(database)
        task = progress.add_task("Decisions")
        verification = verify_chain(url, lambda done, total: progress.update(task, completed=done, total=total))
    broken = verification.broken
    note_verification(url, settings().counts_file, verification.decisions, broken.reason if broken else "")
    if as_json:
        chains = msgspec.to_builtins([*verification.chains.values()])
        typer.echo(orjson.dumps({**msgspec.to_builtins(verification), "chains": chains}, option=orjson.OPT_INDENT_2))
    else:
        _draw_verification(Console(), verification)
    raise typer.Exit(1 if broken else 0)


def _draw_verification(console: Console, verification: Verification) -> None:
    for end in verification.chains.values():
        console.print(Text(f"chain {end.chain}: {end.decisions} rows, up to {end.hash}", style="dim"), soft_wrap=True)
    if verification.broken is None:
        count = f"{verification.decisions} decisions in {len(verification.chains)} chains"
        archived = f"; {verification.archived} more are archived" if verification.archived else ""
        console.print(f"The record is as it was written: {count}{archived}.")
        return
    at = verification.broken
    console.print(
        f"The record is broken at decision {at.decision}, row {at.position} of chain {at.chain}: {at.reason}. "
        f"The {verification.decisions} decisions written before it are as they were written.",
        soft_wrap=True,
    )


def _verify_seals(against: Path, key: Path | None, archives: Path | None, database: str | None, as_json: bool) -> None:
    configured = settings()
    with _said_in_a_sentence():
        path = key or (public_file(configured.seal_key) if configured.seal_key else None)
        if path is None:
            raise SealsUnusable("give the public key with --key; a key from beside the database proves nothing")
        keys = read_keys(path)
        url = record_url(database)
        report = audit(url, read_seals(against, keys), keys=keys, folder=archives)
    note_verification(url, configured.counts_file, report.decisions, f"{report.findings[0]}" if report.findings else "")
    if as_json:
        typer.echo(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2))
    else:
        for finding in report.findings:
            typer.echo(as_sentence(finding))
        state = "is not as it was sealed" if report.findings else "is as it was sealed"
        typer.echo(
            f"The record {state}: {report.decisions} decisions ({report.unsealed} after the newest of "
            f"{report.seals} seals, {report.archived} archived), {report.feedback} rows of feedback "
            f"({report.unsealed_feedback} after it), {report.outcomes} outcomes ({report.unsealed_outcomes} after it), "
            f"{report.events} events ({report.unsealed_events} after it)."
        )
    raise typer.Exit(1 if report.findings else 0)


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, SealsUnusable, SignatureRefused, OSError)
