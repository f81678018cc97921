"""`cds-hooks text`: reads notes, and tells how well on folders of a hospital's own."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import typer

from cds_hooks.commands.options import AsJson, print_json
from cds_hooks.commands.sentences import failure, said_in_a_sentence
from cds_hooks.text.folders import FolderRefused, predict, read_rows
from cds_hooks.text.scoring import score_notes
from fhir.notes.reading import read_note

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Read clinical notes, and tell how well.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Notes and questions.")]


@app.command()
def note(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A note as plain text.")],
    on: Annotated[datetime | None, typer.Option("--date", help="The day it was written; else today.")] = None,
    month_first: Annotated[bool, typer.Option("--month-first", help='"10/9/26" is the ninth of October.')] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a note says: findings, drugs and results, each with its words and with what is said of it.

    Example: cds-hooks text note letter.txt --date 2026-09-17
    """
    day = on.date() if on is not None else date.today()  # noqa: DTZ011 - the day of the person at this computer
    reading = read_note(file.read_text(encoding="utf-8", errors="replace"), on=day, month_first=month_first)
    if as_json:
        print_json(msgspec.to_builtins(reading))
        return
    for finding in reading.findings:
        typer.echo(
            f"{finding.text}: {finding.concept}, {finding.assertion}, {finding.temporality}, {finding.experiencer}"
        )
    for drug in reading.drugs:
        typer.echo(f"{drug.text}: {drug.drug}, {drug.status}")
    for result in reading.results:
        typer.echo(f"{result.text}: {result.name} {result.value} {result.unit or '(no unit)'}, {result.date}")


@app.command("predict")
def write_predictions(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="PREDICTIONS", help="The folder to write, or a .jsonl file.")],
    task: Annotated[str | None, typer.Option(help="Of this task only: notes, summaries, chart, docs.")] = None,
) -> None:
    """Write what is read and answered of the notes, charts and questions of a folder, one JSON object a line.

    PREDICTIONS gets one file for each task that FOLDER asks: notes.jsonl, summaries.jsonl, chart.jsonl, docs.jsonl. A
    name that ends with .jsonl is one file, with the objects of all tasks or of --task.

    Example: cds-hooks text predict notes/ --out predictions/
    """
    with said_in_a_sentence(FolderRefused):
        answers = predict(folder)
    if task is not None:
        if task not in answers:
            raise failure(f"The folder asks nothing of the task {task}.")
        answers = {task: answers[task]}
    if out.suffix == ".jsonl":
        out.write_bytes(b"".join(orjson.dumps(row) + b"\n" for rows in answers.values() for row in rows))
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in answers.items():
        (out / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


@app.command()
def evaluate(folder: Folder, as_json: AsJson = False) -> None:
    """Compare what is read of a folder with what its writers say is in it; prints shares, then what to read.

    Example: cds-hooks text evaluate notes/ --json
    """
    with said_in_a_sentence(FolderRefused):
        figures = score_notes(read_rows(folder / "notes.jsonl"), predict(folder)["notes"])
    if as_json:
        shares = {
            name: {"part": share.part, "of": share.of, "share": share.value} for name, share in figures.shares.items()
        }
        print_json({"notes": shares, "failures": figures.failures})
        return
    for name, share in figures.shares.items():
        typer.echo(f"{name}: {share.part} of {share.of}" + (f" ({share.value:.3f})" if share.value is not None else ""))
    for failed in figures.failures:
        typer.echo(f"  {failed}")
