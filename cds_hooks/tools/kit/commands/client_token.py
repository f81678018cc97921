"""`python -m cds_hooks.tools.kit token`: keys and tokens with which a client is tried out."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.tools.kit.commands.options import stop
from cds_hooks.tools.kit.simulator.signing import (
    SigningAlgorithm,
    SigningKeyError,
    new_key,
    read_key_file,
    sign_token,
    write_key,
)


def token(
    url: Annotated[
        str | None,
        typer.Argument(help="The URL that will be called: it becomes aud; else the key set is printed."),
    ] = None,
    key: Annotated[
        Path, typer.Option(help="File of the private key; made where it is not there. Only you can read it.")
    ] = Path("dev-key.json"),
    issuer: Annotated[str, typer.Option(help="Of a new key: iss of its tokens.")] = "https://dev.invalid/cds-client",
    algorithm: Annotated[SigningAlgorithm, typer.Option(help="Of a new key: its signature algorithm.")] = "ES384",
    subject: Annotated[str | None, typer.Option(help="sub.")] = None,
    tenant: Annotated[str | None, typer.Option(help="tenant.")] = None,
    lifetime: Annotated[int, typer.Option(min=1, max=3600, help="Seconds until it expires.")] = 300,
) -> None:
    """Print a token for one call, for trying out; without URL the public key set of the key that signs it.

    The key is made at the first time. Exit code 1 where it cannot be used.

    Example: python -m cds_hooks.tools.kit token > dev-jwks.json
    """
    try:
        if not key.exists():
            write_key(new_key(issuer, algorithm), key)
            typer.echo(
                f"The private key is in {key}; keep it to yourself. With the key set that this command prints as "
                f"dev-jwks.json:\ncds-hooks trust dev --issuer {issuer} --jwks-file dev-jwks.json "
                f"--algorithm {algorithm}",
                err=True,
            )
        signing = read_key_file(key)
    except (SigningKeyError, OSError) as error:
        stop(str(error), code=1)
    if url is None:
        typer.echo(json.dumps(signing.key_set(), indent=2))
    else:
        typer.echo(sign_token(signing, url, subject=subject, tenant=tenant, lifetime_seconds=lifetime))
