"""`cds-hooks model compare`: which family of models is chosen, with figures and intervals."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cds_hooks.commands.model_console import problems, progress_bars
from cds_hooks.commands.model_options import AsJson, Data, Name, Replicates, Seed, Specs
from cds_hooks.commands.model_tables import figure, print_json, wide_console
from cds_hooks.settings import settings
from models_onnx.spec import SEED


def register(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(compare)


def compare(
    name: Name,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the report as JSON; beside an artifact its page shows it.")
    ] = None,
    seed: Seed = SEED,
    replicates: Replicates = 200,
    specs: Specs = None,
    as_json: AsJson = False,
) -> None:
    """Compare the families of models on the same folds: logistic or Cox, additive trees, boosted trees.

    The simplest within 0.01 AUROC of the best wins. Exit codes: 0 it is the one that is declared, 1 it is another,
    2 the name or the data cannot be used.

    Example: cds-hooks model compare readmission_30d
    """
    with problems():
        from models_onnx.training.compare import compare_model

        with progress_bars(as_json) as progress:
            found = compare_model(name, data or settings().data_dir, seed, replicates, progress, specs)
        if out is not None:
            import orjson

            out.write_bytes(orjson.dumps(found.document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    if as_json:
        print_json(found.document)
    else:
        _show(found.document)
    raise typer.Exit(0 if found.agrees else 1)


def _show(document: dict[str, object]) -> None:
    families = document["families"]
    assert isinstance(families, list)  # noqa: S101 - written a function above
    table = Table("family", "AUROC", "behind the best", "slope", "O/E", "C-index", title=f"{document['id']}")
    for block in families:
        table.add_row(
            block["family"] + (" (champion)" if block["family"] == document["champion"] else ""),
            figure(block["auroc"]),
            figure(block["behind_the_best"]),
            figure(block["calibration_slope"], 2),
            figure(block["observed_expected"], 2),
            f"{block['c_index']:.3f}" if "c_index" in block else "",
        )
    wide_console().print(table)
    typer.echo(f"{document['rule']}: {document['champion']}; declared is {document['declared']}.")
