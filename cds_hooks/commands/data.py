"""`cds-hooks data check`: what is wrong with a table or a folder of FHIR before anything is learned from it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cds_hooks.commands.model.console import own_specs, print_json, problems, wide_console
from models_onnx.serving.registry import ARTIFACTS

app = typer.Typer(no_args_is_help=True, help="Look at data before a model is trained on it.")


@app.callback()
def _group() -> None:
    """Keeps `check` a subcommand while there is one only."""


@app.command()
def check(
    where: Annotated[Path, typer.Argument(metavar="TABLE|FOLDER", help="A model's table, or a folder of FHIR.")],
    model: Annotated[str | None, typer.Option(help="Whose table it is, where its name does not say it.")] = None,
    specs: Annotated[Path | None, typer.Option(help="Folder with declarations of models of your own.")] = None,
    folder: Annotated[
        Path, typer.Option("--folder", help="Folder of artifacts: the trained model with whose range it is compared.")
    ] = ARTIFACTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a table (columns, keys, folds, values, units, look-ahead) or a folder of FHIR (codes, units, times).

    Counts and examples without identifiers. Exit codes: 0 no error (there may be warnings), 1 an error, 2 it cannot be
    read.

    Example: cds-hooks data check rows.csv.gz --model mortality_5y
    """
    with problems():
        report = _report(where, model, specs, folder)
    if as_json:
        document = {"name": report.name, "kind": report.kind, "counts": report.counts, "passed": report.passed}
        print_json({**document, "findings": report.findings})
    else:
        _show(report)
    raise typer.Exit(0 if report.passed else 1)


def _report(where: Path, model: str | None, specs: Path | None, folder: Path) -> Any:
    from models_onnx.workbench.training.data.check_charts import check_charts
    from models_onnx.workbench.training.data.check_tables import check_table, spec_of_table

    if where.is_dir():
        return check_charts(where)
    specs = own_specs(specs, folder, model or where.name.partition(".")[0])
    return check_table(spec_of_table(where, model, specs), where, folder)


def _show(report: Any) -> None:
    counts = ", ".join(f"{count:,} {noun}" for noun, count in report.counts.items())
    table = Table("", "what", "where", "how often", "examples", title=f"{report.name} ({report.kind}): {counts}")
    for finding in report.findings:
        description = f"{finding.kind}: {finding.text}"
        table.add_row(finding.severity, description, finding.where, f"{finding.count:,}", "; ".join(finding.examples))
    wide_console().print(table)
    typer.echo("No error." if report.passed else "There are errors.")
