"""`cds-hooks model dataset`: a training table from charts, through the mapping of the bedside."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model_console import problems, progress_bars
from cds_hooks.commands.model_options import AsJson, Name, Specs
from cds_hooks.commands.model_tables import print_json


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(dataset)


def dataset(
    name: Name,
    fhir: Annotated[Path, typer.Option(help="Folder of FHIR: bundles (.json, .json.gz) or NDJSON (.ndjson).")],
    out: Annotated[Path | None, typer.Option(help="Write the rows to this file, as CSV.")] = None,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Make a model's training table from charts: one row per index, only of what was known then.

    Ids are hashed and the only date that is kept is the year. Exit codes: 0 made, 2 the folder cannot be used.

    Example: cds-hooks model dataset readmission_30d --fhir charts --out rows.csv.gz
    """
    with problems():
        from models_onnx.spec import get_spec
        from models_onnx.training.dataset import dataset as rows_of
        from models_onnx.training.dataset import describe

        with progress_bars(as_json) as progress:
            rows = rows_of(get_spec(name, specs), fhir, lambda done: progress("charts", done, done))
        if out is not None:
            rows.to_csv(out, index=False)
    told = describe(rows)
    told["years"] = f"{min(told['years'])}-{max(told['years'])}"
    if as_json:
        print_json(told)
        return
    typer.echo(f"{told['rows']:,} rows of {told['patients']:,} patients, {told['events']:,} events, {told['years']}")
    for feature, share in told["missing"].items():
        typer.echo(f"  {feature}: {share:.0%} missing")
