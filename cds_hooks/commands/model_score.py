"""`cds-hooks model score`: probabilities for the rows of a table, one line each, with a reason where there is none."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model_console import problems, progress_bars
from cds_hooks.commands.model_options import AsJson, Name, Specs
from cds_hooks.commands.model_tables import print_json
from cds_hooks.trusted_models import own_keys
from models_onnx.registry import ARTIFACTS


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(score)


def score(
    name: Name,
    rows: Annotated[Path, typer.Argument(metavar="ROWS.csv.gz", help="Rows of the model's table, with its columns.")],
    out: Annotated[Path, typer.Option(help="Where the lines are written, as CSV.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the base and the contribution of each input.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Folder of artifacts; each model has its own in it.")] = ARTIFACTS,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Score the rows of a table: `id,probability,reason,model`, in their order, as the server scores the same facts.

    The id is the table's own key; without a score the probability is empty and the reason says why. Where too much is
    missing for the model its twin takes over, and `model` names it. Outcome columns are not needed and not read.

    Exit codes: 0 every row has its line, 2 the name or the table cannot be used.

    Example: cds-hooks model score mortality_5y rows.csv.gz --out scores.csv --explain
    """
    with problems():
        from models_onnx.training.score import Scorer, score_file

        scorer = Scorer.of(name, folder, specs, own_keys())
        with progress_bars(as_json) as progress:
            tally = score_file(scorer, rows, out, explain, lambda done: progress("rows", done, done))
    for column in tally.absent_columns:
        typer.echo(f"{rows.name} has no column {column}: it is missing in every row.", err=True)
    if as_json:
        print_json({"rows": tally.rows, "scored": tally.scored, "not_scored": tally.reasons})
        return
    typer.echo(f"{tally.rows:,} rows: {out}")
    for model, count in sorted(tally.scored.items()):
        typer.echo(f"  scored by {model}: {count:,}")
    for reason, count in sorted(tally.reasons.items()):
        typer.echo(f"  no score, {reason}: {count:,}")
