"""`cds-hooks model dataset` and `score`: makes a model's table from charts, and scores the rows of a table."""

from pathlib import Path
from typing import Annotated

import typer

from cds_hooks.commands.model.console import AsJson, Name, Specs, print_json, problems, progress_bars
from cds_hooks.settings import settings
from cds_hooks.trusted_models import own_keys
from models_onnx.serving.registry import ARTIFACTS


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
        from models_onnx.training.data.dataset import dataset as rows_of
        from models_onnx.training.data.dataset import describe

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

        scorer = Scorer.of(name, folder, specs, own_keys(settings()))
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
