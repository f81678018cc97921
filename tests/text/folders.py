"""Folders of notes and charts in the formats of the text data: what is asked in them, one object a line.

`notes.jsonl` has notes (`id`, `text`, `date`, `style`), `summaries.jsonl` names charts, which are bundles
in `charts/`. The answers that a folder may hold beside them are read by the evaluation only.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from cds_hooks.add_ons.text.summary import MOST_SENTENCES, summarise
from fhir.notes.reading import read_note
from fhir.terminology.plain_file import LongLine, bounded_lines
from tests.text.attacks import attacked

Row: TypeAlias = dict[str, Any]


class FolderRefused(ValueError):
    """A folder that cannot be read; the message names the file."""


def read_rows(path: Path) -> list[Row]:
    """Return the objects of a file with one a line; FolderRefused names the line that is none."""
    rows: list[Row] = []
    try:
        with path.open("rb") as file:
            lines = list(bounded_lines(file.readline, path.name))
    except LongLine as error:
        raise FolderRefused(str(error)) from error
    except OSError as error:
        raise FolderRefused(f"{path.name} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise FolderRefused(f"{path.name}, line {number}, is no JSON") from error
        if not isinstance(row, dict):
            raise FolderRefused(f"{path.name}, line {number}, is no object")
        rows.append(row)
    return rows


def _predicted_note(row: Row) -> Row:
    try:
        text, on = str(row["text"]), date.fromisoformat(str(row["date"])[:10])
        reading = read_note(text, on=on, month_first=row.get("style") == "US")
        read = {"findings": reading.findings, "medications": reading.drugs, "results": reading.results}
        return {"id": row["id"], **msgspec.to_builtins(read)}
    except (KeyError, ValueError) as error:
        raise FolderRefused(f"a note without {error}") from error


def _notes(folder: Path) -> Iterator[Row]:
    for row in read_rows(folder / "notes.jsonl"):
        yield _predicted_note(row)


def chart_resources(folder: Path, chart: str) -> list[Row]:
    """Return the resources of a chart of a folder; FolderRefused where it is none."""
    path = folder / "charts" / f"{Path(chart).name}.json"
    try:
        bundle = orjson.loads(path.read_bytes())
        return [entry["resource"] for entry in bundle["entry"] if isinstance(entry.get("resource"), dict)]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FolderRefused(f"charts/{path.name} is no bundle that can be read") from error


def day_of(resources: list[Row]) -> date:
    """Return the last day that a chart names: charts of a folder are read as on the day that they were written."""
    names = ("effectiveDateTime", "authoredOn", "date", "recordedDate", "onsetDateTime")
    days = [str(resource[name])[:10] for resource in resources for name in names if resource.get(name)]
    return max((date.fromisoformat(day) for day in days if len(day) == 10), default=date.min)


def _summaries(folder: Path) -> Iterator[Row]:
    for row in read_rows(folder / "summaries.jsonl"):
        resources = chart_resources(folder, str(row["chart"]))
        summary = summarise(resources, day_of(resources), most=int(row.get("max_sentences") or MOST_SENTENCES))
        sentences = [{"text": sentence.text, "cites": list(sentence.cites)} for sentence in summary.sentences]
        yield {"chart": row["chart"], "sentences": sentences}


def _attacks(folder: Path) -> Iterator[Row]:
    return attacked(read_rows(folder / "injections.jsonl"), lambda chart: chart_resources(folder, chart), day_of)


TASKS: Final[Mapping[str, tuple[str, Callable[[Path], Iterator[Row]]]]] = {
    "notes": ("notes.jsonl", _notes),
    "summaries": ("summaries.jsonl", _summaries),
    "injections": ("injections.jsonl", _attacks),
}
"""What a folder can ask: the file that asks it, and what is said of it."""


def predict(folder: Path) -> dict[str, list[Row]]:
    """Return the answers to all that a folder asks, by task."""
    answers = {task: list(answer(folder)) for task, (file, answer) in TASKS.items() if (folder / file).is_file()}
    if not answers:
        raise FolderRefused(f"{folder} has none of {', '.join(file for file, _ in TASKS.values())}")
    return answers
