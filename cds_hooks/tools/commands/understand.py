"""`cds-hooks understand`: what the server reads of each resource of a chart, and what it does not understand."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from cds_hooks.tools.commands.options import AsJson, failure, said_in_a_sentence
from fhir.mapping.understanding import READ_KINDS, Understanding, understand_chart
from fhir.record.charts import read_resources
from fhir.record.datatypes import plain
from fhir.record.folder import ChartsRefused, files_of

_COMMONEST = 5


def understand_resources(
    source: Annotated[
        str,
        typer.Argument(metavar="BUNDLE|FOLDER|-", help="A bundle or resource, a folder, or - for JSON lines on stdin."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what is read of each resource: groups of conditions, allergens, vaccines, drugs, what is said of them.

    A folder, and a bundle without --json, is counted by kind, with the commonest words that are not understood. With
    --json there is one object on a line for each resource. A file of a folder that holds no resource is left out and
    named. Exit code 1 where nothing can be read.

    Example: cds-hooks understand chart.json
    """
    with said_in_a_sentence(ChartsRefused):
        readings = understand_chart(list(_resources(source)))
    if as_json or source == "-":
        for reading in readings:
            typer.echo(orjson.dumps(msgspec.to_builtins(reading)).decode())
        return
    readings = [reading for reading in readings if reading.kind in READ_KINDS]
    if not readings:
        raise failure("The input has no FHIR resource of a type that is read, such as Condition or MedicationRequest.")
    if Path(source).is_file():
        for reading in readings:
            typer.echo(reading.sentence)
        typer.echo("")
    for line in _counts(readings):
        typer.echo(line)


def _resources(source: str) -> Iterator[dict[str, Any]]:
    if source == "-":
        for line in sys.stdin.buffer:
            if line.strip():
                yield from _entries(orjson.loads(line))
        return
    path = Path(source)
    for file in files_of(path) if path.is_dir() else (path,):
        try:
            resources = list(read_resources(file))
        except ChartsRefused as problem:
            if not path.is_dir():
                raise
            typer.echo(f"Left out: {problem}.", err=True)  # a folder holds other files, too
            continue
        for resource in resources:
            yield from _entries(resource)


def _entries(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    for entry in resource.get("entry") or ():
        yield entry.get("resource") or {}


def _counts(readings: list[Understanding]) -> Iterator[str]:
    for kind, number in Counter(reading.kind for reading in readings).most_common():
        of_kind = [reading for reading in readings if reading.kind == kind]
        unread = Counter(plain(reading.words).lower() for reading in of_kind if not reading.understood)
        commonest = ", ".join(f"{words} ({times})" for words, times in unread.most_common(_COMMONEST) if words)
        more = f"; the commonest that are not: {commonest}" if commonest else ""
        yield f"Of {number:,} {kind} resources {1 - unread.total() / number:.0%} are understood{more}."
