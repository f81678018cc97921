"""`cds-hooks vaccines`: runs CDC's test cases of vaccination and imports a release of CDC's supporting data."""

from difflib import unified_diff
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer
from rich.console import Console
from rich.table import Table

from cards.vaccines.cases import FIELDS, read_cases, run_case, summary
from cards.vaccines.importing import import_release
from cds_hooks.commands.options import AsJson
from models_onnx.artifact.files import write_whole

app = typer.Typer(no_args_is_help=True, help="Check and update what is known of vaccination.")


@app.callback()
def _root() -> None:
    """Check and update what is known of vaccination."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Cases, one JSON object per line.")],
    as_json: AsJson = False,
) -> None:
    """Run CDC's cases and print how many are answered exactly, by antigen, and each difference.

    Exact means: series status, number of the next dose, earliest and recommended date are those of CDC. Exit code 1
    where a case differs, 2 where the file cannot be read.

    Example: cds-hooks vaccines check cdsi_cases.jsonl
    """
    try:
        results = [run_case(case) for case in read_cases(file.read_bytes().splitlines())]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        typer.echo(f"{file.name} is not a file of cases, one JSON object per line: {error}", err=True)
        raise typer.Exit(2) from error
    found = summary(results)
    if as_json:
        typer.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    else:
        _print(found)
    if found["differences"] or not results:
        raise typer.Exit(1)


def _print(found: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("antigen", "right", "total")
    for name, counts in found["by_antigen"].items():
        table.add_row(name, str(counts["right"]), str(counts["total"]))
    console.print(table)
    for item in found["differences"]:
        parts = [
            f"{field} {item['answered'][field] or 'none'} (expected {item['expected'][field] or 'none'})"
            for field in FIELDS
            if item["answered"].get(field, "") != item["expected"][field]
        ]
        console.print(f"{item['id']} {item['antigen']}: {'; '.join(parts)}", markup=False)
    console.print(f"{found['right']} of {found['total']} cases are right.")


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The XML files of one CDC release.")],
    version: Annotated[str, typer.Option(help="CDC's version of the release, such as 4.64.")],
    date: Annotated[str, typer.Option(help="Date of the release, YYYY-MM-DD.")],
    source: Annotated[str, typer.Option(help="Where the release was read, as it is cited.")],
    write: Annotated[bool, typer.Option("--write", help="Replace the knowledge files in cards/vaccines/data.")] = False,
) -> None:
    """Read a release of CDC's supporting data and print what changes in the knowledge files.

    Nothing is written without --write. Run the cases of the same release afterwards.

    Example: cds-hooks vaccines import XML --version 4.64 --date 2025-11-10 --source "CDC CDSi supporting data 4.64"
    """
    target = Path(str(files("cards.vaccines"))) / "data"
    for name, text in import_release(folder, version, date, source).items():
        path = target / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in unified_diff(
            before.splitlines(), text.splitlines(), f"{name} now", f"{name} {version}", "", "", 0, ""
        ):
            typer.echo(line)
        if write:
            write_whole(path, text)
