"""What the model commands share: their options, progress bars, errors in a sentence, tables and JSON."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cds_hooks.commands.sentences import as_sentence, failure
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from fhir.record.charts import ChartsRefused
from models_onnx.artifact.keys import add_trusted_keys
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import ModelError
from models_onnx.serving.registry import ARTIFACTS

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's id, for example mortality_5y.")]
Data = Annotated[Path | None, typer.Option(help="The data folder; default: the setting CDS_DATA_DIR.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the parity rows and of the bootstrap samples.")]
Replicates = Annotated[int, typer.Option(min=0, max=1_000_000, help="Bootstrap samples for the intervals; 0 for none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Specs = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Folder with declarations of models of your own.")
]


def own_specs(specs: Path | None, folder: Path, name: str) -> Path | None:
    """The folder of declarations: the one that was named, else the folder of artifacts where it declares the model.

    The features that the folder declares (features.toml) are known from then on.
    """
    from models_onnx.discovery import add_features

    if folder != ARTIFACTS and folder.is_dir():
        add_features(folder)
    if specs is None and folder != ARTIFACTS and (folder / f"{name.partition('@')[0]}.py").is_file():
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
        extra = "adopt" if error.name == "skops" else "train"
        raise failure(f"{error.name} is not installed; this needs the extra: cds-hooks-onnx[{extra}]", 2) from error
    except (ModelError, ChartsRefused, OSError) as error:
        raise failure(as_sentence(error) if isinstance(error, OSError) else str(error), 2) from error


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Yields a callback that draws one bar per step on standard error; nothing where that is no terminal."""
    console = Console(stderr=True, quiet=quiet or not sys.stderr.isatty())
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, TimeElapsedColumn(), console=console) as bars:

        def step(step_name: str, done: int, total: int) -> None:
            if step_name not in tasks:
                tasks[step_name] = bars.add_task(step_name, total=total)
            bars.update(tasks[step_name], completed=done)

        yield step


_LOG_WIDTH = 132


def show_comparison(comparison: Any, as_json: bool) -> None:
    """A model trained again beside the committed one."""
    if as_json:
        print_json({**msgspec.to_builtins(comparison), "passed": comparison.passed})
        return
    table = Table("", "trained again", "committed", title="Trained again, compared with the artifact")
    table.add_row("sha256", comparison.trained_sha256[:16], comparison.committed_sha256[:16])
    table.add_row("same file", _yes(comparison.same_hash), "")
    table.add_row("same data", _yes(comparison.same_data), "")
    table.add_row(f"largest difference, {comparison.people:,} people", f"{comparison.probability:.1e}", "limit 1e-04")
    table.add_row("AUROC differs by", f"{comparison.auroc:.4f}", "limit 0.002")
    Console().print(table)
    typer.echo("Agrees." if comparison.passed else "DOES NOT AGREE with the committed artifact.")


def show_evaluation(manifest: Manifest, as_json: bool) -> None:
    """Prints the manifest of a model as its page, or as JSON."""
    from models_onnx.workbench.release.documentation import model_page

    if as_json:
        print_json(manifest)
    else:
        print_markdown(model_page(manifest, folder=None))


def show_other_rows(evaluated: Any, as_json: bool) -> None:
    """Prints the figures of a model on people of another table."""
    from models_onnx.workbench.release.documentation import groups_tables

    left_out = [{"words": step.words, "count": step.count} for step in evaluated.cohort.left_out]
    manifest = evaluated.manifest
    if as_json:
        model = {"id": manifest.id, "version": manifest.version, "sha256": manifest.file.sha256}
        print_json({"model": model, "left_out": left_out, "all": evaluated.whole, "subgroups": evaluated.subgroups})
        return
    for step in left_out:
        typer.echo(f"left out: {step['words']}: {step['count']:,}")
    print_markdown(groups_tables("these rows", evaluated.whole, evaluated.subgroups, manifest.row_words))
    typer.echo(_proposal(evaluated))


def _proposal(evaluated: Any) -> str:
    """What the calibration on another table asks for: nothing, a new intercept, or intercept and slope."""
    from models_onnx.workbench.gates.checks.figures import CALIBRATION, ENOUGH_EVENTS, SLOPE_ACT

    ratio, slope = (evaluated.whole[name] for name in ("observed_expected", "calibration_slope"))
    shift = evaluated.whole["calibration_intercept"]["value"]
    if evaluated.whole["events"] < ENOUGH_EVENTS:
        return f"No recalibration is proposed: {evaluated.whole['events']} events, {ENOUGH_EVENTS} are needed."
    is_stretched = slope["high"] is not None and (slope["high"] < SLOPE_ACT[0] or slope["low"] > SLOPE_ACT[1])
    if not is_stretched and ratio["low"] <= CALIBRATION[1] and ratio["high"] >= CALIBRATION[0]:
        return "No recalibration is proposed: observed/expected and slope may be within their limits."
    option = " --slope" if is_stretched else ""
    return (
        f"These people have {ratio['value']:.2f} times the events expected (intercept {shift:+.2f}, slope "
        f"{slope['value']:.2f}). Proposed as a new version, which changes nothing until it is released: cds-hooks "
        f"model recalibrate {evaluated.manifest.id} --table {evaluated.rows}{option} --folder FOLDER"
    )


def print_markdown(text: str) -> None:
    """Prints a page in Markdown: drawn in a terminal, as it is in a pipe or a file."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        typer.echo(text, nl=False)


def wide_console() -> Console:
    """Returns the terminal; in a pipe or a log wide enough that no figure is broken over two lines."""
    return Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def today() -> date:
    """Return the day of the settings' clock."""
    return (settings().as_of or datetime.now(UTC)).date()


def moment() -> str:
    """Return the instant of the settings' clock, as it stands in a release."""
    return (settings().as_of or datetime.now(UTC)).isoformat(timespec="seconds")


def print_json(value: Any) -> None:
    """The value as indented JSON on standard output."""
    typer.echo(orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_INDENT_2))
