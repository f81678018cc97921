"""What every `cds-hooks model` command does at the terminal: say what cannot be used, draw progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cds_hooks.trusted_models import own_keys
from models_onnx.errors import ModelError
from models_onnx.signing.keys import trust_also


@contextmanager
def problems() -> Iterator[None]:
    """Says in one sentence what cannot be used, and ends with exit code 2."""
    try:
        # What one signed oneself one may look at and test; a server trusts the keys of its settings alone.
        trust_also(own_keys())
        yield
    except ModuleNotFoundError as error:
        typer.echo(f"{error.name} is not installed; training needs the extra: cds-hooks-onnx[train]", err=True)
        raise typer.Exit(2) from error
    except (ModelError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A callback that draws one bar per step on standard error; nothing where that is no terminal."""
    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:

        def step(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)

        yield step
