"""`cds-hooks model compile`: a LightGBM or XGBoost file and its reference cohort to one self-explaining ONNX file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.model_console import problems
from models_onnx.errors import CompileRefused


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compile")(compile_file)


def compile_file(
    model_file: Annotated[Path, typer.Argument(metavar="MODEL_FILE", help="LightGBM text or XGBoost JSON.")],
    reference: Annotated[Path, typer.Option(help="Rows of the reference cohort, CSV or CSV.gz with a header.")],
    card: Annotated[Path, typer.Option(help="The model card, a JSON object; written into the file.")],
    out: Annotated[Path, typer.Option(help="Where the ONNX file goes.")],
    features: Annotated[
        str | None,
        typer.Option(help="Columns of the reference rows in the model's order, where the model file has no names."),
    ] = None,
    outcome: Annotated[
        str | None, typer.Option(help="Column of the reference rows with 0 or 1: gives the observed rates.")
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="NAME=INPUT,INPUT: explained as one; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's id; default: the name of --out.")] = None,
    version: Annotated[str, typer.Option(help="The model's version.")] = "0.0.0",
    deepest: Annotated[int, typer.Option(min=1, max=6, help="Deepest trees; more than 4 is a waiver.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile a model file of another library to ONNX with exact contributions, proven before it is written.

    The reference cohort is whom people are compared with; nobody of it should have been trained on. Pickles are
    refused, whatever they hold. Exit codes: 0 written, 2 the file, the rows or the card cannot be used.

    Example: cds-hooks model compile model.txt --reference cohort.csv.gz --card card.json --out model.onnx
    """
    with problems():
        from models_onnx.card.check import problems as problems_of
        from models_onnx.compiler import compile_model
        from models_onnx.compiler.table import read_rows
        from models_onnx.compiler.tree_source import read_file

        written = _card(card)
        names = features.split(",") if features else read_file(model_file).features
        rows = read_rows(reference, names, outcome)
        compiled = compile_model(
            model_file,
            rows.X,
            features=names,
            outcomes=rows.outcomes,
            name=name or out.stem,
            version=version,
            groups=_groups(group or []),
            card=written,
            deepest=deepest,
        )
        compiled.save(out)
        missing = problems_of(written)
    if as_json:
        typer.echo(json.dumps(compiled.report.as_dict(), indent=1))
    else:
        _show(compiled.report.as_dict(), out)
    if missing:
        typer.echo(
            f"The card is not whole, `cds-hooks model import` will refuse it: {'; '.join(missing[:3])}", err=True
        )


def _groups(declared: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in declared:
        name, _, members = each.partition("=")
        if not name or not members:
            raise CompileRefused(f"--group {each}: write NAME=INPUT,INPUT")
        found[name] = members.split(",")
    return found


def _card(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as problem:
        raise CompileRefused(f"{path.name} is not JSON: {problem}") from problem
    if not isinstance(document, dict) or not document:
        raise CompileRefused(f"{path.name} is not a model card: a JSON object with at least one member")
    return document


def _show(report: dict[str, Any], out: Path) -> None:
    agreement = report["agreement"]
    table = Table(title=str(out), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for what, value in (
        ("form", report["form"]),
        ("inputs", len(report["features"])),
        ("explained as", len(report["groups"])),
        ("explanation", report["explanation"]),
        ("rows of the proof", f"{agreement['rows']}, {agreement['rows_with_missing']} with something missing"),
        (
            "largest difference",
            f"probability {agreement['probability']:.1e}, contribution "
            f"{agreement['contribution']:.1e}, sum {agreement['additivity']:.1e}",
        ),
        ("bytes", f"{report['bytes']:,}"),
        ("sha256", report["sha256"]),
    ):
        table.add_row(what, str(value))
    Console().print(table)
