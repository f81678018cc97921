"""What the model commands share: their options, errors in a sentence, tables and JSON."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cds_hooks.call.trusted_models import own_keys
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import as_sentence, failure, is_there
from fhir.record.folder import ChartsRefused
from models_onnx.artifact.keys import add_trusted_keys
from models_onnx.errors import ModelError
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.spec import declaring_file

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, for example mortality_5y.")]
Folder = Annotated[Path, typer.Option("--folder", help="Folder of artifacts; each model has its own in it.")]
Out = Annotated[Path, typer.Option("--out", "--folder", help="Folder of artifacts; the model gets its own in it.")]
Data = Annotated[
    Path | None,
    typer.Option(help="The data folder; default: the setting CDS_DATA_DIR.", callback=is_there, file_okay=False),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the parity rows and of the bootstrap samples.")]
Replicates = Annotated[int, typer.Option(min=0, max=1_000_000, help="Bootstrap samples for the intervals; 0 for none.")]
Specs = Annotated[
    Path | None,
    typer.Option(callback=is_there, file_okay=False, help="Folder with declarations of models of your own."),
]

_LOG_WIDTH = 132


def own_specs(specs: Path | None, folder: Path, name: str) -> Path | None:
    """Return the folder of declarations: the one that was named, else the folder of artifacts if it declares the model.

    The features that the folder declares (features.toml) are known from then on.
    """
    from models_onnx.declarations import add_features

    if folder != ARTIFACTS and folder.is_dir():
        add_features(folder)
    if specs is None and folder != ARTIFACTS and declaring_file(name.partition("@")[0], folder) is not None:
        return folder
    return specs


@contextmanager
def problems() -> Iterator[None]:
    """Says in one sentence what cannot be used, and ends with exit code 2."""
    try:
        # What one signed oneself one may look at and test; a server trusts the keys of its settings alone.
        add_trusted_keys(own_keys(settings()))
        yield
    except ModuleNotFoundError as error:
        raise failure(f"{error.name} is not installed; this needs the extra: cds-hooks-onnx[train]", 2) from error
    except (ModelError, ChartsRefused, OSError) as error:
        raise failure(as_sentence(error) if isinstance(error, OSError) else str(error), 2) from error


def wide_console() -> Console:
    """Return the terminal; in a pipe or a log wide enough that no figure is broken over two lines."""
    return Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)


def today() -> date:
    """Return the day of the settings' clock."""
    return (settings().as_of or datetime.now(UTC)).date()


def moment() -> str:
    """Return the instant of the settings' clock, as it stands in a release."""
    return (settings().as_of or datetime.now(UTC)).isoformat(timespec="seconds")
