"""Options that several commands have, with one name, one meaning and one help text each; what --json prints."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import orjson
import typer

from fhir.terminology.plain_file import unreadable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="SQLAlchemy URL of the record; else CDS_DATABASE_URL.")
]
Client = Annotated[str | None, typer.Option(help="Of this client only.")]
Service = Annotated[str | None, typer.Option(help="Of this service only.")]


def _instant(text: str) -> int:
    """Return the microseconds since 1970 of a time, which is UTC where it names no zone."""
    try:
        time = datetime.fromisoformat(text)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1_000_000)
    except (ValueError, OverflowError) as error:
        wanted = "must be a date or a time, as 2026-11-20 or 2026-11-20T14:00:00Z"
        raise typer.BadParameter(f"{wanted}; received {text[:40]!r}. Nothing was read.") from error


Since = Annotated[int | None, typer.Option(parser=_instant, metavar="<datetime>", help="Not before this time (UTC).")]
Before = Annotated[int | None, typer.Option(parser=_instant, metavar="<datetime>", help="Before this time (UTC).")]


def print_json(value: object) -> None:
    """Print a value, structs in it, too, as indented JSON."""
    typer.echo(orjson.dumps(value, default=msgspec.to_builtins, option=orjson.OPT_INDENT_2))


# How a command says what went wrong: one sentence on standard error, and an exit code that is not 0


def as_sentence(problem: Exception | str) -> str:
    """Return the problem with a capital at its beginning and one full stop at its end.

    The name of a file, a model or an option at the beginning stays as it is written; of an error of the operating
    system the number is left out.

    >>> as_sentence("the record cannot be read"), as_sentence("c.csv, line 3, has no date.")
    ('The record cannot be read.', 'c.csv, line 3, has no date.')
    """
    if isinstance(problem, OSError) and problem.strerror:
        named = isinstance(problem.filename, str)
        text = unreadable(Path(problem.filename), problem) if named else problem.strerror
    else:
        text = str(problem) or type(problem).__name__
    first = text.split(maxsplit=1)[0]
    is_word = first.rstrip(",;:").replace("-", "").replace("'", "").isalpha()
    return f"{text[:1].upper() + text[1:] if is_word else text}".rstrip(".") + "."


def failure(text: str, code: int = 1) -> typer.Exit:
    """Say on standard error what went wrong; returns the end of the command with this exit code, which is raised."""
    typer.echo(text, err=True)
    return typer.Exit(code)


@contextmanager
def said_in_a_sentence(*kinds: type[Exception]) -> Iterator[None]:
    """Say an error of these kinds in a sentence and end the command with the exit code of its class, else 1."""
    try:
        yield
    except kinds as error:
        raise failure(as_sentence(error), getattr(error, "exit_code", 1)) from error


_Paths = TypeVar("_Paths", Path | None, list[Path] | None)


def is_there(given: _Paths) -> _Paths:
    """Return the files or folders that were given; end the command with exit code 2 where one is not there."""
    for path in given if isinstance(given, list) else [given]:
        if path is not None and not path.exists():
            raise failure(f"{unreadable(path)}. Nothing was done.", 2)
    return given


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield a callback that draws one bar per step (its name, what is done, of how much) on standard error.

    Nothing is drawn where that is no terminal, and nothing stays.
    """
    from rich.console import Console  # most commands are done before a bar could be drawn
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.completed}"), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as bars:

        def step(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)

        yield step
