"""`cds-hooks text`: reads notes and summarizes charts."""

from datetime import date, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cds_hooks.add_ons.text.chart import read_chart
from cds_hooks.add_ons.text.endpoint import Caller, EndpointRefused, endpoint_named, read_text_file
from cds_hooks.add_ons.text.released import record_summary, summary_with_model
from cds_hooks.add_ons.text.summary import summarise
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import settings
from cds_hooks.tools.commands.options import AsJson, failure, is_there, print_json, said_in_a_sentence
from fhir.notes.reading import read_note
from fhir.record.charts import read_resources
from fhir.record.folder import ChartsRefused

EndpointName = Annotated[
    str | None, typer.Option("--endpoint", metavar="NAME", help="Ask the language model that CDS_TEXT_FILE names so.")
]


def text(
    chart: Annotated[
        Path,
        typer.Argument(
            metavar="CHART|NOTE", callback=is_there, dir_okay=False, help="A Bundle of one patient, or a note."
        ),
    ],
    on: Annotated[datetime | None, typer.Option("--date", help="The day that is asked about; else today.")] = None,
    month_first: Annotated[
        bool, typer.Option("--month-first", help='Of a note: "10/9/26" is the ninth of October.')
    ] = False,
    endpoint: EndpointName = None,
    as_json: AsJson = False,
) -> None:
    """Summarize a chart or read a note.

    A summary's sentences name the resources that they rest on, contradictions first. Of a note as plain text (.txt)
    what it says is shown: findings, drugs and results, each with its words and with what is said of it.

    Without --endpoint no language model is asked, and nothing leaves this computer. With it, its sentences are shown as
    far as the chart confirms them; the call is recorded.

    Example: cds-hooks text letter.txt --date 2026-09-17
    """
    if chart.suffix == ".txt":
        _show_note(chart, _day(on), as_json, month_first=month_first)
    else:
        _summarise(chart, _day(on), endpoint, as_json)


def _summarise(chart: Path, on: date, endpoint: str | None, as_json: bool) -> None:
    with said_in_a_sentence(ChartsRefused, EndpointRefused, RecordUnavailable):
        resources = list(read_resources(chart))
        if endpoint is None:
            result = summarise(resources, on)
        else:
            allowed = endpoint_named(read_text_file(settings().text_file), endpoint)
            read = read_chart(resources, on)
            result = summary_with_model(settings(), (endpoint, allowed), resources, read, Caller())
            record_summary(f"command {getuser()}", result)
    if as_json:
        print_json(msgspec.to_builtins(result))
        return
    for sentence in result.sentences:
        tag = f" ({sentence.tag})" if sentence.tag else ""
        typer.echo(f"{sentence.text} [{', '.join(sentence.cites)}]{tag}")
    if result.writing is not None and not result.notice:
        writing = result.writing
        written = writing.confirmed + sum(writing.deleted.values())
        typer.echo(f"{writing.confirmed} of {written} sentences of {writing.model} are confirmed.", err=True)
    if result.notice:
        typer.echo(result.notice, err=True)


def _show_note(file: Path, on: date, as_json: bool, *, month_first: bool) -> None:
    text = file.read_text(encoding="utf-8", errors="replace")
    if not text.strip():
        raise failure(f"{file} is empty: there is no note to read.", 2)
    reading = read_note(text, on=on, month_first=month_first)
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


def _day(on: datetime | None) -> date:
    return on.date() if on is not None else date.today()  # noqa: DTZ011 - the day of the person at this computer
