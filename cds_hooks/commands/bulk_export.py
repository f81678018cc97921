"""`cds-hooks bulk-export`: downloads the charts of a FHIR server's Bulk Data export, to be scored."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.batch.bulk_export import BackendKey, BulkExport
from cds_hooks.commands.options import failure
from models_onnx.errors import BatchRefused


def bulk_export(
    base: Annotated[str, typer.Argument(metavar="URL", help="The base address of the FHIR server.")],
    out: Annotated[Path, typer.Option(help="The folder for the NDJSON files.")],
    client_id: Annotated[str | None, typer.Option(help="The id under which this service is registered.")] = None,
    key: Annotated[Path | None, typer.Option(help="The private key of that client, PEM.")] = None,
    key_id: Annotated[str, typer.Option(help="The key's id (kid) in the registered key set.")] = "",
    algorithm: Annotated[str, typer.Option(help="RS384 or ES384, as the key is.")] = "RS384",
    scope: Annotated[str, typer.Option(help="What is asked of the token server.")] = "system/*.rs",
    group: Annotated[str | None, typer.Option(help="Only the patients of this Group.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only this resource type; again for each. Default: all.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only what changed since this instant.")] = None,
) -> None:
    """Download the charts of a FHIR server that offers Bulk Data export, as NDJSON by type.

    Tokens by SMART Backend Services where --client-id and --key are given. What the server says of its progress is
    waited for, failures that pass are tried again, and an interrupted export goes on when the command is typed again.

    Exit codes: 0 every file is here, 1 every file is here and the server says that it could not export everything
    (errors.*.ndjson.txt has its OperationOutcomes), 2 the server or its token server refuses, or fails for too long.

    Example: cds-hooks bulk-export https://ehr.example/fhir --out export --client-id panel --key panel.pem --key-id k1
    """
    try:
        if (client_id is None) != (key is None):
            raise BatchRefused("--client-id and --key belong together: give both, or neither for an open server.")
        registered = None
        if client_id is not None and key is not None:
            registered = BackendKey(client_id, key.read_text(), key_id, algorithm, scope)
        export = BulkExport(base, out, registered, group, tuple(type_ or ()), since)
        run = export.run(lambda text: typer.echo(text, err=True))
    except (BatchRefused, OSError) as error:
        raise failure(str(error), 2) from error
    typer.echo(f"{len(run.files)} files: {out}")
    if run.deleted_files:
        names = ", ".join(path.name for path in run.deleted_files)
        typer.echo(f"What was deleted on the server since then is named in {names}.", err=True)
    if since is not None:
        sentence = "The files hold only what changed since then: scored alone, charts would lack all that is older."
        typer.echo(sentence, err=True)
    if run.errors:
        names = ", ".join(path.name for path in run.error_files)
        sentence = "resources or more could not be exported by the server: the charts are not complete. It says why in"
        raise failure(f"{run.errors} {sentence} {names}.")
