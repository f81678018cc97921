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

    A folder, and a bundle without --json, is counted by kind, with the commonest words that are not understood. Folders
    within a folder are the sources of a corpus, and the share that is understood is printed for each of them. With
    --json there is one object on a line for each resource. A file of a folder that holds no resource is left out and
    named. Exit code 1 where nothing can be read.

    Example: cds-hooks understand chart.json
    """
    with said_in_a_sentence(ChartsRefused):
        by_source = list(_resources(source))
    resources = [resource for _, resource in by_source]
    readings = understand_chart(resources)
    sources = [name for name, _ in by_source]
    if as_json or source == "-":
        for reading in readings:
            typer.echo(orjson.dumps(msgspec.to_builtins(reading)).decode())
        return
    read = [(name, reading) for name, reading in zip(sources, readings, strict=True) if reading.kind in READ_KINDS]
    readings = [reading for _, reading in read]
    if not readings:
        raise failure("The input has no FHIR resource of a type that is read, such as Condition or MedicationRequest.")
    if Path(source).is_file():
        for reading in readings:
            typer.echo(reading.sentence)
        typer.echo("")
    for line in (*_counts(readings), *_shares(read)):
        typer.echo(line)


def _resources(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources, each with the folder within the folder that it comes from: one source of a corpus."""
    if source == "-":
        for line in sys.stdin.buffer:
            if line.strip():
                yield from (("", resource) for resource in _entries(orjson.loads(line)))
        return
    path = Path(source)
    for file in files_of(path) if path.is_dir() else (path,):
        parts = file.relative_to(path).parts if path.is_dir() else ()
        try:
            resources = list(read_resources(file))
        except ChartsRefused as problem:
            if not path.is_dir():
                raise
            typer.echo(f"Left out: {problem}.", err=True)  # a corpus holds other files, too
            continue
        for resource in resources:
            yield from ((parts[0] if len(parts) > 1 else "", entry) for entry in _entries(resource))


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


def _shares(read: list[tuple[str, Understanding]]) -> Iterator[str]:
    """Yield what is understood of each source by kind, the least first, where there is more than one."""
    sources = Counter(name for name, _ in read)
    understood = Counter(name for name, reading in read if reading.understood)
    kinds = Counter((name, reading.kind) for name, reading in read)
    of_kind = Counter((name, reading.kind) for name, reading in read if reading.understood)
    if len(sources) > 1:
        for name, number in sorted(sources.items(), key=lambda item: understood[item[0]] / item[1]):
            share = f"{understood[name]:,} of {number:,} resources are understood ({understood[name] / number:.0%})"
            of_source = sorted(kind for source, kind in kinds if source == name)
            by_kind = ", ".join(f"{kind} {of_kind[name, kind]:,} of {kinds[name, kind]:,}" for kind in of_source)
            yield f"{name or 'in the folder itself'}: {share}: {by_kind}."
