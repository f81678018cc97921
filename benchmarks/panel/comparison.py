"""What each path said of each patient, in one form, and where two paths differ in a single bit."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet

from benchmarks.panel.paths import SERVICE, record_url
from benchmarks.panel.people import MODEL
from cds_hooks.storage.queries import DecisionFilter, find_decisions

Line = tuple[str, ...]
Said = dict[str, bytes]
"""A digest of everything that was said of a patient, by the patient's id."""

_NUMBERS = frozenset({"probability", "percentile", "base"})
_TABLE_COLUMNS = ("probability", "percentile", "model", "reason", "reason_text")


class _Basis(msgspec.Struct):
    scores: dict[str, Any] | None = None
    silence: list[tuple[str, str, str]] = []


def digests(lines: Iterator[Line], patient: int = 0) -> Said:
    """The lines of each patient, in whichever order they come, as one digest."""
    found: dict[str, list[bytes]] = {}
    for line in lines:
        found.setdefault(line[patient], []).append(hashlib.sha256("\x1f".join(line).encode()).digest())
    return {name: hashlib.sha256(b"".join(sorted(of_lines))).digest() for name, of_lines in found.items()}


def of_csv(path: Path) -> Iterator[Line]:
    """Every line of scores of charts, or of a table, as the command line wrote it; 0.00001 is what 1e-05 is."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        is_number = [name in _NUMBERS or name.startswith("contribution_") for name in next(rows)]
        for row in rows:
            yield tuple(
                str(float(text)) if number and text else text for text, number in zip(row, is_number, strict=True)
            )


def of_parquet(folder: Path, columns: list[str]) -> Iterator[Line]:
    """The same of what Spark or Ray wrote; numbers in the fewest digits that mean them."""
    for file in sorted(folder.glob("*.parquet")):
        table = pyarrow.parquet.read_table(file, columns=columns)
        yield from zip(*([_text(value) for value in table.column(name).to_pylist()] for name in columns), strict=True)


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value)


def columns_of(path: Path) -> list[str]:
    """The first line of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def of_charts(path: Path) -> dict[str, Line]:
    """Of each patient what the model said, from the command line over charts: probability, percentile, who, why not."""
    found: dict[str, Line] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["name"] == MODEL:
                found[row["id"]] = (row["value"], row["percentile"], row["by"], row["reason"], row["reason_text"])
    return found


def of_table(path: Path) -> dict[str, Line]:
    """The same from the command line over the table of features."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: tuple(row[name] for name in _TABLE_COLUMNS) for row in csv.DictReader(file)}


def of_record(folder: Path) -> dict[str, Line]:
    """The same from the server's record."""
    decoder = msgspec.json.Decoder(_Basis)
    found: dict[str, Line] = {}
    for decision in find_decisions(record_url(folder), DecisionFilter(service=SERVICE)):
        basis = decoder.decode(decision.basis)
        if basis.scores is not None:
            scores = basis.scores
            line = (str(scores["probability"]), str(scores["percentile"]), str(scores["id"]), "", "")
        else:
            # Beside the model's own reason it may name what of the chart was not used.
            ((reason, text),) = [(reason, text) for subject, reason, text in basis.silence if subject == MODEL]
            line = ("", "", "", reason, text)
        found[str(decision.patient)] = line
    return found


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The patients of whom two paths say different things, or of whom only one says something."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
