"""`cds-hooks audit`: seals the record, and compares it with its seals."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from cds_hooks.audit.seals import Sealing, SealsUnusable, add_seal, read_seals
from cds_hooks.audit.verification import audit as compare
from cds_hooks.commands.options import AsJson, Database
from cds_hooks.commands.record_options import record_url
from cds_hooks.commands.sentences import as_sentence, said_in_a_sentence
from cds_hooks.monitor.finder import note_verification
from cds_hooks.settings import settings
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import local_signer, public_file, read_keys, read_signer
from models_onnx.errors import SignatureRefused

app = typer.Typer(no_args_is_help=True, help="Seal the record with a key outside the database, and verify the seals.")


@app.command()
def key(
    out: Annotated[Path, typer.Option(help="File of the private key; the public half is written beside it.")],
) -> None:
    """Make the key that seals the record. Keep it away from the database and its backups.

    Example: cds-hooks audit key --out seal-key.pem
    """
    with _said_in_a_sentence():
        _, made = local_signer(out, "record")
    if not made:
        typer.echo(f"{out} is there already; nothing was changed.", err=True)
        raise typer.Exit(1)
    typer.echo(f"Private key: {out}. Public key, for whoever verifies: {public_file(out)}.")


@app.command()
def seal(
    key: Annotated[Path | None, typer.Option(help="The private key; else CDS_SEAL_KEY.")] = None,
    to: Annotated[Path | None, typer.Option(help="File to which the seal is added; else var/seals.ndjson.")] = None,
    database: Database = None,
) -> None:
    """Seal what is new in the record once; from a machine of its own, with nothing but the right to read.

    Example: cds-hooks audit seal --key seal-key.pem --to seals.ndjson
    """
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


@app.command()
def verify(
    against: Annotated[Path, typer.Option(metavar="SEALS", help="The seals, as they arrived elsewhere.")],
    key: Annotated[Path | None, typer.Option(help="The public key (.pub.json); else that of CDS_SEAL_KEY.")] = None,
    archives: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the record's archives, which are looked into, too.")
    ] = None,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Compare the record with its seals; exit code 1 where anything was rewritten, deleted, cut off or put in.

    Example: cds-hooks audit verify --against seals.ndjson --key seal-key.pub.json
    """
    configured = settings()
    with _said_in_a_sentence():
        path = key or (public_file(configured.seal_key) if configured.seal_key else None)
        if path is None:
            raise SealsUnusable("give the public key with --key; a key from beside the database proves nothing")
        keys = read_keys(path)
        url = record_url(database)
        found = compare(url, read_seals(against, keys), keys=keys, folder=archives)
    note_verification(url, configured.counts_file, found.decisions, f"{found.findings[0]}" if found.findings else "")
    if as_json:
        typer.echo(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    else:
        for finding in found.findings:
            typer.echo(as_sentence(finding))
        state = "is not as it was sealed" if found.findings else "is as it was sealed"
        typer.echo(
            f"The record {state}: {found.decisions} decisions ({found.unsealed} after the newest of "
            f"{found.seals} seals, {found.archived} archived), {found.feedback} rows of feedback "
            f"({found.unsealed_feedback} after it), {found.outcomes} outcomes ({found.unsealed_outcomes} after it), "
            f"{found.events} events ({found.unsealed_events} after it)."
        )
    raise typer.Exit(1 if found.findings else 0)


_said_in_a_sentence = partial(said_in_a_sentence, RecordUnavailable, SealsUnusable, SignatureRefused, OSError)
