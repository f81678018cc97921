"""`cds-hooks knowledge`: imports releases of clinical knowledge, and runs the cases that come with one."""

from collections.abc import Mapping
from difflib import unified_diff
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cards.rules.families.genes.importing import import_release as import_genes
from cards.vaccines.cases import FIELDS, read_cases, run_case, summary
from cards.vaccines.importing import import_release as import_vaccines
from cds_hooks.commands.options import AsJson, print_json
from cds_hooks.commands.sentences import failure
from models_onnx.artifact.files import write_whole

app = typer.Typer(no_args_is_help=True, help="Update and check what is known of genes and vaccines.")

Write = Annotated[bool, typer.Option("--write", help="Replace the files of this package.")]


@app.command()
def genes(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The CSV files of one release.")],
    version: Annotated[str, typer.Option(help="Date of CPIC's data, YYYY-MM-DD: it is the source of every row.")],
    write: Write = False,
) -> None:
    """Read a release of the recommendations and print what changes in the family's files, and what is left out.

    Nothing is written without --write. Exit code 1 where a file or a column of the release is missing.

    Example: cds-hooks knowledge genes pgx --version 2026-08-13
    """
    try:
        texts, left_out = import_genes(folder, version)
    except (OSError, KeyError) as error:
        missing = f"the column {error}" if isinstance(error, KeyError) else str(error.filename or error)
        raise failure(f"{folder.name} is not a whole release of the tables: {missing} is missing.") from error
    _import(texts, Path(str(files("cards.rules.families.genes"))), version, write)
    for row in left_out:
        typer.echo(f"Left out: {row}.", err=True)


@app.command()
def vaccines(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The XML files of one CDC release.")],
    version: Annotated[str, typer.Option(help="CDC's version of the release, such as 4.64.")],
    date: Annotated[str, typer.Option(help="Date of the release, YYYY-MM-DD.")],
    source: Annotated[str, typer.Option(help="Where the release was read, as it is cited.")],
    write: Write = False,
) -> None:
    """Read a release of CDC's supporting data and print what changes in the knowledge files.

    Nothing is written without --write. Run the cases of the same release afterwards.

    Example: cds-hooks knowledge vaccines XML --version 4.64 --date 2025-11-10 --source "CDC CDSi supporting data 4.64"
    """
    texts = import_vaccines(folder, version, date, source)
    _import(texts, Path(str(files("cards.vaccines"))) / "data", version, write)


def _import(texts: Mapping[str, str], target: Path, version: str, write: bool) -> None:
    """Prints what changes in the files of the package, and writes them where that is wanted."""
    for name, text in texts.items():
        path = target / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in unified_diff(
            before.splitlines(), text.splitlines(), f"{name} now", f"{name} {version}", "", "", 0, ""
        ):
            typer.echo(line)
        if write:
            write_whole(path, text)


@app.command("vaccine-cases")
def vaccine_cases(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Cases, one JSON object per line.")],
    as_json: AsJson = False,
) -> None:
    """Run CDC's cases and print how many are answered exactly, by antigen, and each difference.

    Exact means: series status, number of the next dose, earliest and recommended date are those of CDC. Exit code 1
    where a case differs, 2 where the file cannot be read.

    Example: cds-hooks knowledge vaccine-cases cdsi_cases.jsonl
    """
    try:
        results = [run_case(case) for case in read_cases(file.read_bytes().splitlines())]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise failure(f"{file.name} is not a file of cases, one JSON object per line: {error}", 2) from error
    report = summary(results)
    if as_json:
        print_json(report)
    else:
        _draw_cases(report)
    if report["differences"] or not results:
        raise typer.Exit(1)


def _draw_cases(report: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("antigen", "right", "total")
    for name, counts in report["by_antigen"].items():
        table.add_row(name, str(counts["right"]), str(counts["total"]))
    console.print(table)
    for item in report["differences"]:
        parts = [
            f"{field} {item['answered'][field] or 'none'} (expected {item['expected'][field] or 'none'})"
            for field in FIELDS
            if item["answered"].get(field, "") != item["expected"][field]
        ]
        console.print(f"{item['id']} {item['antigen']}: {'; '.join(parts)}", markup=False)
    console.print(f"{report['right']} of {report['total']} cases are right.")
