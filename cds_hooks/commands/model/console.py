"""What the model commands share: their options, progress bars, errors in a sentence, tables and JSON."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cds_hooks.commands.sentences import as_sentence
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from fhir.record.charts import ChartsRefused
from models_onnx.artifact.keys import add_trusted_keys
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import ModelError
from models_onnx.model_card.evaluation_file import group_rates
from models_onnx.model_card.plots import net_benefits
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
        typer.echo(f"{error.name} is not installed; this needs the extra: cds-hooks-onnx[{extra}]", err=True)
        raise typer.Exit(2) from error
    except (ModelError, ChartsRefused, OSError) as error:
        typer.echo(as_sentence(error) if isinstance(error, OSError) else str(error), err=True)
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


_LOG_WIDTH = 132

_FIGURES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "observed_expected": "O/E",
    "c_index": "C-index",
    "alert_rate": "alert rate",
    "ppv": "PPV",
    "sensitivity": "sensitivity",
}


def show_comparison(comparison: Any, as_json: bool) -> None:
    """A model trained again beside the committed one."""
    if as_json:
        print_json({**_document(comparison), "passed": comparison.passed})
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
    """Cohort, figures, groups, panels, thresholds and floors of a manifest."""
    if as_json:
        print_json(manifest)
        return
    console, evaluation = wide_console(), manifest.evaluation
    console.print(f"{manifest.title} ({manifest.id} {manifest.version}): {manifest.cohort.words}.", highlight=False)
    _show_cohort(console, manifest)
    console.print(evaluation["how"], highlight=False)
    blocks = {f"all ({manifest.period.training})": evaluation["all"]}
    if manifest.period.recalibration != manifest.period.training:
        blocks[f"latest ({manifest.period.recalibration})"] = evaluation["latest"]
    if newest := evaluation.get("newest"):
        blocks[f"newest followed ({newest['words']})"] = newest
    _show_blocks(console, blocks)
    simple = evaluation["simple"]
    console.print(
        f"{' and '.join(simple['inputs'])} alone: AUROC {figure(simple['auroc'])}; gain {figure(simple['gain'])}.",
        highlight=False,
    )
    _show_groups(console, evaluation["subgroups"])
    _show_panels(console, evaluation["panels"])
    _show_thresholds(console, manifest)
    _show_floors(console, evaluation["floors"])
    _show_file(console, manifest)


def _show_file(console: Console, manifest: Manifest) -> None:
    parity = manifest.parity
    console.print(
        f"{manifest.file.name}: {manifest.file.bytes:,} bytes, sha256 {manifest.file.sha256}; against what fitted it "
        f"over {parity['rows']:,} rows: probability {parity['probability']:.1e}, "
        f"contributions {parity['contribution']:.1e}, additivity {parity['additivity']:.1e}.",
        highlight=False,
        soft_wrap=True,
    )


def _show_cohort(console: Console, manifest: Manifest) -> None:
    cohort = manifest.cohort
    table = Table("cohort", "people", title=f"{manifest.data.name}")
    table.add_row("in the table", f"{cohort.table_rows:,}")
    for step in cohort.exclusions:
        table.add_row(f"left out: {step.words}", f"-{step.count:,}")
    table.add_row("trained and evaluated on", f"{cohort.n:,} ({cohort.events:,} {manifest.outcome.words})")
    console.print(table)


def _show_blocks(console: Console, blocks: dict[str, dict[str, Any]]) -> None:
    table = Table("", *blocks, title="People not trained on")
    table.add_row("people (events)", *(f"{b['n']:,} ({b['events']:,})" for b in blocks.values()))
    for key, words in _FIGURES.items():
        if any(key in block for block in blocks.values()):
            table.add_row(words, *(figure(block[key]) if key in block else "" for block in blocks.values()))
    console.print(table)


def _show_groups(console: Console, groups: list[dict[str, Any]]) -> None:
    for axis in dict.fromkeys(group["axis"] for group in groups):
        table = Table(axis, "people (events)", "AUROC", "O/E, all", "O/E, latest", "PPV")
        for group in (each for each in groups if each["axis"] == axis):
            table.add_row(
                group["group"],
                f"{group['n']:,} ({group['events']:,})" + ("" if group["sufficient"] else " insufficient"),
                figure(group["auroc"], 2),
                figure(group["observed_expected"], 2),
                figure(group["latest"]["observed_expected"], 2) if "latest" in group else "",
                figure(group["ppv"], 2),
            )
        console.print(table)
    _show_equal_ages(console, groups)


def _show_equal_ages(console: Console, groups: list[dict[str, Any]]) -> None:
    rates = group_rates(groups)
    if not rates:
        return
    header = ("sensitivity", "at equal ages", "false positive rate", "at equal ages")
    table = Table("", "group", *header, title="Error rates at the default threshold")
    for each in rates:
        few = "" if each.sufficient else " insufficient"
        table.add_row(each.axis, each.name + few, *(figure(rate, 2) for rate in each.rates))
    console.print(table)


def _show_panels(console: Console, panels: list[dict[str, Any]]) -> None:
    if not panels:
        return
    table = Table("missing", "scored", "AUROC", "O/E", title="Panels taken away")
    for panel in panels:
        table.add_row(panel["words"], _yes(panel["scored"]), figure(panel["auroc"]), figure(panel["observed_expected"]))
    console.print(table)


def _show_floors(console: Console, floors: list[dict[str, Any]]) -> None:
    table = Table("floor", "value", "limit", "holds", title="Floors")
    for floor in floors:
        table.add_row(
            floor["name"],
            "none" if floor["value"] is None else f"{floor['value']:.3f}",
            floor["limit"],
            _yes(floor["passed"]),
        )
    console.print(table)


def _show_thresholds(console: Console, manifest: Manifest) -> None:
    table = Table(
        "top share", "estimate from", "alert rate", "PPV", "sensitivity", "alerts per event", "net benefit in 100",
        title="Thresholds",
    )  # fmt: skip
    for row, benefit in zip(manifest.thresholds.table, net_benefits(manifest), strict=True):
        table.add_row(
            f"{row.capacity:.0%}" + (" (default)" if row.capacity == manifest.thresholds.capacity else ""),
            *(f"{share:.1%}" for share in (row.probability, row.alert_rate, row.ppv, row.sensitivity)),
            f"{row.number_needed_to_alert:.1f}",
            f"{100 * benefit:.2f}",
        )
    console.print(table)


def show_other_rows(other: Any, as_json: bool) -> None:
    """The committed model on people of another table."""
    left_out = [{"words": left.words, "count": left.count} for left in other.cohort.left_out]
    if as_json:
        model = {"id": other.manifest.id, "version": other.manifest.version, "sha256": other.manifest.file.sha256}
        print_json({"model": model, "left_out": left_out, "all": other.whole, "subgroups": other.subgroups})
        return
    console = wide_console()
    for left in left_out:
        console.print(f"left out: {left['words']}: {left['count']:,}", highlight=False)
    _show_blocks(console, {"these rows": other.whole})
    _show_groups(console, other.subgroups)


def wide_console() -> Console:
    """The terminal; in a pipe or a log wide enough that no figure is broken over two lines."""
    return Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)


def figure(found: dict[str, float | None], digits: int = 3) -> str:
    """The figure with its interval, or that it cannot be computed."""
    value, low, high = found["value"], found["low"], found["high"]
    if value is None or low is None or high is None:
        return "not computable"
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _document(value: Any) -> Any:
    return msgspec.to_builtins(value)


def print_json(value: Any) -> None:
    """The value as indented JSON on standard output."""
    typer.echo(orjson.dumps(_document(value), option=orjson.OPT_INDENT_2))
