"""Options and environment variables that several commands of the kit share."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from inspect import signature
from typing import Annotated, NoReturn, TypeVar

import httpx
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Options = TypeVar("Options")

_DEFAULT_URL = "http://127.0.0.1:8085"


def server_url(url: str | None) -> str:
    """Return the address of the server: the one that was typed, else CDS_PUBLIC_URL. Ends where it is not http(s)."""
    address = (url or os.environ.get("CDS_PUBLIC_URL") or _DEFAULT_URL).rstrip("/")
    try:
        parsed = httpx.URL(address)
        usable = parsed.scheme in ("http", "https") and parsed.host and (parsed.port is None or parsed.port < 1 << 16)
        has_more = bool(parsed.userinfo or parsed.query or parsed.fragment)
    except httpx.InvalidURL:
        usable = has_more = False
    if has_more or "@" in address:  # it would stand in reports and errors
        stop("The address of the server has no user name, password or query; it is not shown. Nothing was sent.")
    if not usable:
        stop(f"{address} is not an http or https address; write for example {_DEFAULT_URL}. Nothing was sent.")
    return address


def clock() -> datetime:
    """Return the instant that CDS_AS_OF names, else the time of the machine."""
    text = os.environ.get("CDS_AS_OF")
    if not text:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        stop(f"CDS_AS_OF is {text}, which is not an ISO instant such as 2026-11-20T09:00:00Z")
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def stop(sentence: str, code: int = 2) -> NoReturn:
    """Print the sentence on standard error and end with this exit code."""
    typer.echo(sentence, err=True)
    raise typer.Exit(code)


def given_as(options: type[Options]) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Give a command the options that a dataclass declares, in place of a parameter for each."""

    def decorate(command: Callable[[Options], None]) -> Callable[..., None]:
        def run(**given: object) -> None:
            command(options(**given))

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        run.__signature__ = signature(options, eval_str=True).replace(return_annotation=None)  # type: ignore[attr-defined]
        return run

    return decorate
