"""Which tables the product has, and which of their rows a person has confirmed (tests/tables/README.md)."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.conftest import ROOT

CONFIRMED: Final = ROOT / "tests" / "tables" / "confirmed"
_PACKAGES: Final = ("fhir", "cards", "models_onnx", "cds_hooks")
_LONGEST_ROW: Final = 400

NO_TABLES: Final = {
    r"cards/rules/families/[a-z]+/[\w.-]+\.json": "rules: tests/cards/rules/test_pinned.py, test_sweeps.py",
    r".*\.schema\.json": "made from the code, and compared with it: tests/cards/rules/engine/test_page.py and others",
    r"models_onnx/artifacts/.*": "made by training and signed: tests/models_onnx/artifact/test_folder.py",
    r"models_onnx/equations/published/.*": "published with test vectors: tests/models_onnx/equations/test_calculate.py",
    r"models_onnx/(models|model_card)/.*card\.json": "prose of model cards: tests/models_onnx/model_card",
    r"cds_hooks/kit/samples/.*": "invented patients: tests/cds_hooks/kit/samples",
    r"cds_hooks/pages/start/example\.json": "a sample call: tests/cds_hooks/pages/test_every_page.py",
    r"cds_hooks/web/docs/.*": "made from docs/, not committed",
    r"cds_hooks/storage/migrations/.*": "compared with the tables of the record: tests/cds_hooks/storage",
    r"models_onnx/artifact/maintainers\.json": "public keys: tests/models_onnx/artifact/test_manifest.py",
}
"""What of the data files is no table, and what tests it."""


def product_tables() -> list[str]:
    """Return every data file of the packages that is a table, by its path."""
    files = (
        path.relative_to(ROOT).as_posix()
        for package in _PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".csv", ".json", ".txt", ".tsv") and path.is_file()
    )
    return sorted(name for name in files if not any(re.fullmatch(pattern, name) for pattern in NO_TABLES))


def rows_of(table: str) -> Iterator[str]:
    """Yield each row of a CSV table, or each smaller part of a JSON document with its place, as one line of text."""
    text = (ROOT / table).read_text(encoding="utf-8")
    if table.endswith(".json"):
        yield from _parts(json.loads(text), "")
        return
    if table.endswith(".txt"):
        yield from text.splitlines()
        return
    header, *rows = csv.reader(io.StringIO(text))
    for row in rows:
        yield ", ".join(f"{name}={cell}" for name, cell in zip(header, row, strict=True) if cell)


def _parts(value: Any, place: str) -> Iterator[str]:
    written = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(written) <= _LONGEST_ROW or not isinstance(value, dict | list):
        yield f"{place}: {written}"
        return
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        yield from _parts(member, f"{place}.{name}" if place else str(name))


def digest(row: str) -> str:
    """Return the digest by which a row is confirmed."""
    return hashlib.sha256(row.encode()).hexdigest()[:7]


def ledger_of(table: str) -> Path:
    """Return the file with the digests of the confirmed rows."""
    return CONFIRMED / f"{table.replace('/', '.')}.txt"


def confirmed_rows(table: str) -> list[str]:
    """Return the digests of the rows that were confirmed; none for a table without a ledger."""
    ledger = ledger_of(table)
    return ledger.read_text(encoding="utf-8").split() if ledger.exists() else []


def changes(table: str) -> tuple[list[str], int]:
    """Return the rows that nobody confirmed, and how many confirmed rows are gone."""
    confirmed = confirmed_rows(table)
    rows = list(rows_of(table))
    digests = [digest(row) for row in rows]
    known = set(confirmed)
    unconfirmed = [row for row, code in zip(rows, digests, strict=True) if code not in known]
    return unconfirmed, len(confirmed) - (len(rows) - len(unconfirmed))


def confirm(table: str) -> None:
    """Write the digests of the rows as they are now."""
    CONFIRMED.mkdir(exist_ok=True)
    digests = sorted(digest(row) for row in rows_of(table))
    ledger_of(table).write_text("\n".join(digests) + "\n", encoding="utf-8")
