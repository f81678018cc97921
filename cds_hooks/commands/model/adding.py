"""`cds-hooks model new`, `import` and `compile`: adds a model of your own, or one that was trained elsewhere."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cds_hooks.commands.model.console import AsJson, print_json, problems
from cds_hooks.commands.model.release import Out, signer
from models_onnx.errors import CompileRefused, ImportRefused
from models_onnx.serving.registry import ARTIFACTS


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id of the new model, like readmission_30d.")],
    folder: Annotated[Path, typer.Option(help="Where the files are written.")] = Path("models"),
    as_json: AsJson = False,
) -> None:
    """Write the files of a new model: its declaration and the words of its card, to complete, and cases to try it on.

    Guide: docs/adding/model.md. Exit codes: 0 written, 2 the name cannot be used or a file is there.

    Example: cds-hooks model new falls_1y --folder models
    """
    with problems():
        from models_onnx.workbench.training.template import write_template

        written = write_template(name, folder)
    if as_json:
        print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(f"{path}")
    typer.echo(f"Next: complete {folder / name}.py, then cds-hooks model train {name} --specs {folder} --data TABLES")


def import_(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="An ONNX file, the folder of an MLflow model, or models:/NAME/VERSION."),
    ],
    card: Annotated[Path, typer.Option(help="Its model card as JSON (docs/models/card.md).")],
    features: Annotated[Path, typer.Option(help="Its feature map as JSON (docs/models/registry.md).")],
    out: Out = ARTIFACTS,
    server: Annotated[
        str | None, typer.Option("--mlflow", help="Of models:/ or runs:/: address of the server.")
    ] = None,
) -> None:
    """Take in a model trained elsewhere: checked, loaded first in a process of its own, described, signed as a draft.

    It then goes through the same gates as ours. Without exact contributions it is refused for cards, by gate G6.

    Exit codes: 0 taken in, 2 refused: the file is unsafe, the card incomplete or the map does not fit.

    Example: cds-hooks model import readmit.onnx --card card.json --features map.json --out models
    """
    with problems():
        from cds_hooks.commands.model.mlflow import is_mlflow
        from models_onnx.workbench.release.importing import import_model, read_json

        with TemporaryDirectory() as folder:
            path = Path(file) if not is_mlflow(file) else _from_registry(file, server, Path(folder))
            imported, release = import_model(path, read_json(card), read_json(features), out, signer())
    typer.echo(
        f"Taken in: {imported.id} {imported.version} in {out / imported.id}, digest {release.digest[:16]}, draft."
    )
    if imported.wiring.contributions is None:
        typer.echo("It does not explain itself: not for cards (gate G6).")
    typer.echo(f"Next: cds-hooks model gates {imported.id} --folder {out}")


def _from_registry(uri: str, server: str | None, folder: Path) -> Path:
    from cds_hooks.commands.model.mlflow import MLflowServer

    if server is None:
        raise ImportRefused(f"{uri} is of an MLflow server: say by --mlflow where it is")
    return MLflowServer(server).download(uri, folder)


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
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Explain deeper trees by shares along their paths; not for cards.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compile a model file of another library to ONNX with exact contributions, proven before it is written.

    The reference cohort is whom people are compared with; nobody of it should have been trained on. Pickles are
    refused, whatever they hold. Exit codes: 0 written, 2 the file, the rows or the card cannot be used.

    Example: cds-hooks model compile model.txt --reference cohort.csv.gz --card card.json --out model.onnx
    """
    with problems():
        from models_onnx.model_card.schema import card_problems as problems_of
        from models_onnx.workbench.compiler import compile_model
        from models_onnx.workbench.compiler.readers.rows import read_rows
        from models_onnx.workbench.compiler.readers.source import read_file

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
            approximate=approximate,
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
    groups: dict[str, list[str]] = {}
    for declaration in declared:
        name, _, members = declaration.partition("=")
        if not name or not members:
            raise CompileRefused(f"--group {declaration}: write NAME=INPUT,INPUT")
        groups[name] = members.split(",")
    return groups


def _card(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as problem:
        raise CompileRefused(f"{path.name} is not JSON: {problem}") from problem
    if not isinstance(document, dict) or not document:
        raise CompileRefused(f"{path.name} is not a model card: a JSON object with at least one member")
    return document


def _apart(approximation: dict[str, Any]) -> str:
    return (
        f"the strongest input is that of Shapley values for {100 * approximation['strongest']:.0f} in 100 people; "
        f"contributions are {approximation['difference']:.2f} apart on average. Not for cards (gate G6)"
    )


def _show(report: dict[str, Any], out: Path) -> None:
    agreement = report["agreement"]
    table = Table(title=str(out), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for label, value in (
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
        *([("approximation", _apart(report["approximation"]))] if report["approximation"] else []),
        ("bytes", f"{report['bytes']:,}"),
        ("sha256", report["sha256"]),
    ):
        table.add_row(label, str(value))
    Console().print(table)
