"""`python -m tests.text`: what is read and answered of a folder, and how well; gates of the site's language model."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
import orjson
import typer

from cds_hooks.add_ons.text.endpoint import EndpointRefused, endpoint_named, read_text_file
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, failure, print_json, said_in_a_sentence
from tests.text.folders import FolderRefused, predict, read_rows
from tests.text.scoring import (
    Figures,
    score_notes,
    score_summaries,
    sheet_of,
    summary_gates,
    write_report,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Try the text part on a folder.")

EndpointName = Annotated[
    str | None, typer.Option("--endpoint", metavar="NAME", help="Ask the language model that CDS_TEXT_FILE names so.")
]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Notes and charts.")]


@app.command("predict")
def write_predictions(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", metavar="PREDICTIONS", help="The folder to write, or a .jsonl file.")],
    task: Annotated[str | None, typer.Option(help="Of this task only: notes, summaries.")] = None,
) -> None:
    """Write what is read and answered of the notes and charts of a folder, one JSON object a line.

    PREDICTIONS gets one file for each task that FOLDER asks: notes.jsonl, summaries.jsonl. A name that ends with .jsonl
    is one file, with the objects of all tasks or of --task.

    Example: python -m tests.text predict notes/ --out predictions/
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


_SCORES: Final = {
    "notes": ("notes.jsonl", score_notes),
    "summaries": ("summaries.jsonl", score_summaries),
}


@app.command()
def evaluate(folder: Folder, endpoint: EndpointName = None, as_json: AsJson = False) -> None:
    """Compare what is read of a folder with what its writers say is in it; prints shares, then what to read.

    With --endpoint the prompt of summaries is tried on its charts and attacks with a language model, and the report of
    its gates is written to the folder of reports that CDS_TEXT_FILE names; exit code 1 where a gate is red.

    Example: python -m tests.text evaluate notes/ --json
    """
    if endpoint is not None:
        _evaluate_prompt(folder, endpoint, as_json)
        return
    with said_in_a_sentence(FolderRefused):
        answers = predict(folder)
        figures = {
            task: score(read_rows(folder / file), answers[task])
            for task, (file, score) in _SCORES.items()
            if task in answers
        }
    if as_json:
        print_json({task: _as_row(of_task) for task, of_task in figures.items()})
        return
    for task, of_task in figures.items():
        typer.echo(task)
        for name, share in of_task.shares.items():
            shown = f" ({share.value:.3f})" if share.value is not None else ""
            typer.echo(f"  {name}: {share.part} of {share.of}{shown}")
        for failed in of_task.failures:
            typer.echo(f"    {failed}")


def _evaluate_prompt(folder: Path, endpoint: str, as_json: bool) -> None:
    with said_in_a_sentence(FolderRefused, EndpointRefused):
        file = read_text_file(settings().text_file)
        report = summary_gates(folder, (endpoint, endpoint_named(file, endpoint)))
        if file.reports is not None:
            write_report(Path(file.reports), report)
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        typer.echo(sheet_of(report))
    if report.red:
        raise typer.Exit(1)


def _as_row(figures: Figures) -> dict[str, object]:
    shares = {
        name: {"part": share.part, "of": share.of, "share": share.value} for name, share in figures.shares.items()
    }
    return {"shares": shares, "failures": figures.failures}


if __name__ == "__main__":
    app()
