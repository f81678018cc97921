"""Reads reports of outcomes from CSV files, whose columns are the members of a report (`report.py`)."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cds_hooks.evidence.outcomes.report import Report, WrongReport, checked_report
from fhir.terminology.plain_file import LongLine, refuse_long_lines


class WrongFile(Exception):
    """A file that cannot be read; one sentence with the line, without a value of it."""


def read_file(path: Path) -> list[Report]:
    """Return the reports of a CSV file, all or none.

    Raises:
        WrongFile: It has another form, or a report in it is wrong.
        OSError: It cannot be read.
    """
    try:
        refuse_long_lines(path)
        text = path.read_text(encoding="utf-8-sig")
    except LongLine as error:
        raise WrongFile(str(error)) from error
    except UnicodeDecodeError as error:
        raise WrongFile(f"{path} is not UTF-8 (byte {error.start})") from error
    reports = list(_reports(path, text))
    if not reports:
        raise WrongFile(f"{path} holds no outcome")
    return reports


def _reports(path: Path, text: str) -> Iterator[Report]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = rows.fieldnames or []
        unknown = sorted(set(names) - set(Report.__struct_fields__))
        if unknown or not names:
            columns = ", ".join(Report.__struct_fields__)
            wrong = f"has the unknown column {', '.join(unknown)}" if unknown else "has no columns"
            raise WrongFile(f"{path}, line 1: it {wrong}; a CSV file of outcomes may have {columns}")
        if len(set(names)) < len(names):
            raise WrongFile(f"{path}, line 1: two columns have the same name")
        for row in rows:
            if None in row or None in row.values():
                raise WrongFile(f"{path}, line {rows.line_num}: the number of columns differs from the first line")
            yield _report(path, rows.line_num, {name: value for name, value in row.items() if value})
    except csv.Error as error:
        raise WrongFile(f"{path} cannot be read as CSV: {error}") from error


def _report(path: Path, number: int, value: dict[str, Any]) -> Report:
    try:
        return checked_report(msgspec.convert(value, Report))
    except msgspec.ValidationError as error:
        members, member = ", ".join(Report.__struct_fields__), str(error).rpartition("`$.")[2].rstrip("`")
        strange = f"; {member} has a value that it cannot have" if member in Report.__struct_fields__ else ""
        text = f"{path}, line {number}: a report of an outcome must be an object with some of {members}{strange}"
        raise WrongFile(text) from error
    except WrongReport as error:
        raise WrongFile(f"{path}, line {number}: {error.text.rstrip('.')}") from error
