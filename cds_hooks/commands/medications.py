"""`cds-hooks medications`: how many medications of real charts are recognised, and how many of their doses read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.options import AsJson
from cds_hooks.settings import settings
from fhir.mapping.medications.coverage import DoseCoverage, RecognitionCoverage, dose_coverage, medication_coverage

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="What is known of medications.")
_SHOWN = 5
_NO_DRUGS = {"supply": "supplies", "fluid": "fluids"}


@app.callback()
def _root() -> None:
    """What is known of medications."""


@app.command()
def coverage(
    data: Annotated[Path | None, typer.Option(help="Folder of other people's data; else CDS_DATA_DIR.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the medications of the charts in the data folder that are recognised, and name those that are not.

    Supplies (needles, test strips) and fluids, feeds and dialysates without a drug are counted apart, as no drugs. The
    last line is about the RxNorm names given in the data folder, read as words without their codes.

    Exit code 2 where there are no charts.

    Example: cds-hooks medications coverage
    """
    found = _of_charts(medication_coverage, data)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        Console().print(_table(found))


@app.command()
def doses(
    data: Annotated[Path | None, typer.Option(help="Folder of other people's data; else CDS_DATA_DIR.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the orders of the charts in the data folder that have a daily dose, and say why the others have none.

    Exit code 2 where there are no charts.

    Example: cds-hooks medications doses
    """
    found = _of_charts(dose_coverage, data)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        Console().print(_dose_table(found))
        for line in _dose_problems(found):
            typer.echo(line)


def _of_charts(counted: Callable[[Path], tuple[T, ...]], data: Path | None) -> tuple[T, ...]:
    folder = data or settings().data_dir
    found = counted(folder)
    if not found:
        typer.echo(f"There are no charts in {folder / 'fhir'}; give a folder with --data or CDS_DATA_DIR.", err=True)
        raise typer.Exit(2)
    return found


def _dose_table(found: tuple[DoseCoverage, ...]) -> Table:
    columns = ("exact", "range", "as needed", "once only", "unknown")
    table = Table("source", "orders", "with a dosage", *columns, title="Daily doses")
    for each in found:
        counts = [f"{each.certainties.get(name, 0):,}" for name in ("exact", "range", "maximum_prn", "once", "unknown")]
        table.add_row(each.source, f"{each.orders:,}", f"{each.instructed:,}", *counts)
    return table


def _dose_problems(found: tuple[DoseCoverage, ...]) -> Iterator[str]:
    for each in found:
        if each.untimed:
            unknown = each.certainties.get("unknown", 0)
            yield f"{each.source}: nothing says how often in {each.untimed:,} of the {unknown:,} unknown"
        for problem, count in each.problems:
            yield f"{each.source}: {count:,} unknown because {problem}"


def _table(found: tuple[RecognitionCoverage, ...]) -> Table:
    table = Table(
        "source",
        "records",
        "recognised",
        "names",
        "no drugs (not counted)",
        "not recognised, most frequent first",
        title="Medications",
    )
    for each in found:
        missed = ", ".join(name or "(no name)" for name, _ in each.unrecognised[:_SHOWN])
        names = f"{each.names_recognised:,} of {each.names:,}"
        apart = ", ".join(f"{count:,} {_NO_DRUGS[kind]}" for kind, count in each.excluded.items())
        share = f"{each.recognised:,} ({each.share:.1%})"
        table.add_row(each.source, f"{each.records:,}", share, names, apart, missed)
    return table
