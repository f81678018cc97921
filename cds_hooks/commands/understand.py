"""`cds-hooks understand`: what the server reads of each resource of a chart, and what it does not understand."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from cds_hooks.commands.options import AsJson
from cds_hooks.commands.sentences import said_in_a_sentence
from fhir.mapping.understanding import READ_KINDS, Understanding, understand
from fhir.record.chart_text import plain
from fhir.record.charts import ChartsRefused, files_of, read_bundle, read_ndjson
from fhir.record.resources import Medication

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
    --json there is one object on a line for each resource. Exit code 1 where nothing can be read.

    Example: cds-hooks understand chart.json
    """
    with said_in_a_sentence(ChartsRefused):
        resources = list(_resources(source))
    medications = {
        f"Medication/{resource.get('id')}": msgspec.convert(resource, Medication, strict=False)
        for resource in resources
        if resource.get("resourceType") == "Medication"
    }
    readings = [understand(resource, medications) for resource in resources]
    if as_json or source == "-":
        for reading in readings:
            typer.echo(orjson.dumps(msgspec.to_builtins(reading)).decode())
        return
    readings = [reading for reading in readings if reading.kind in READ_KINDS]
    if not readings:
        typer.echo("There is no resource of a kind that is read.", err=True)
        raise typer.Exit(1)
    if Path(source).is_file():
        for reading in readings:
            typer.echo(sentence_of(reading))
        typer.echo("")
    for line in _counts(readings):
        typer.echo(line)


def _resources(source: str) -> Iterator[dict[str, Any]]:
    if source == "-":
        for line in sys.stdin.buffer:
            if line.strip():
                resource = orjson.loads(line)
                yield from _entries(resource)
        return
    path = Path(source)
    for file in files_of(path) if path.is_dir() else (path,):
        resources = read_ndjson(file) if ".ndjson" in file.name else (resource for resource, _ in read_bundle(file))
        for resource in resources:
            yield from _entries(resource)


def _entries(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if resource.get("resourceType") != "Bundle":
        yield resource
        return
    for entry in resource.get("entry") or ():
        yield entry.get("resource") or {}


def sentence_of(reading: Understanding) -> str:
    """One line for a person: what was read of the resource, or that it was not understood and why."""
    read = [*reading.groups, *reading.allergen_classes, *reading.vaccine_families, *reading.drugs]
    if reading.analyte is not None:
        read.append(reading.analyte)
    words = f" ({plain(reading.words)})" if reading.words else ""
    if not reading.understood:
        return f"{reading.resource}{words}: not understood: {reading.reason}"
    stated = "" if reading.assertion == "affirmed" else f" [{reading.assertion}]"
    return f"{reading.resource}{words}: {', '.join(read) or 'in none of the groups'}{stated}"


def _counts(readings: list[Understanding]) -> Iterator[str]:
    for kind, number in Counter(reading.kind for reading in readings).most_common():
        of_kind = [reading for reading in readings if reading.kind == kind]
        unread = Counter(plain(reading.words).lower() for reading in of_kind if not reading.understood)
        commonest = ", ".join(f"{words} ({times})" for words, times in unread.most_common(_COMMONEST) if words)
        more = f"; the commonest that are not: {commonest}" if commonest else ""
        yield f"Of {number:,} {kind} resources {1 - unread.total() / number:.0%} are understood{more}."
