"""Options and environment variables that several commands of the kit share."""

import os
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_DEFAULT_URL = "http://127.0.0.1:8085"


def server_url(url: str | None) -> str:
    """Return the address of the server: the one that was typed, else CDS_PUBLIC_URL. Ends where it is not http(s)."""
    address = (url or os.environ.get("CDS_PUBLIC_URL") or _DEFAULT_URL).rstrip("/")
    if not address.startswith(("http://", "https://")):
        stop(f"{address} is not an http or https address; write for example {_DEFAULT_URL}")
    return address


def clock() -> datetime:
    """Return the instant that CDS_AS_OF names, else the time of the machine."""
    text = os.environ.get("CDS_AS_OF")
    if not text:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        stop(f"CDS_AS_OF is {text}, which is no ISO instant such as 2026-11-20T09:00:00Z")
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def stop(sentence: str, code: int = 2) -> NoReturn:
    """Print the sentence on standard error and end with this exit code."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)
