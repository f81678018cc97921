"""Writes scores as they are computed, and goes on where an interrupted run stopped: CSV, FHIR RiskAssessment, Parquet.

Until it is complete, an output lies beside its place as `NAME.part`, with `NAME.part.json` that says how far it came.
Whoever finds the file itself finds all rows.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import PanelRefused
from models_onnx.panel.tables import duckdb_connection

OutputForm: TypeAlias = Literal["csv", "fhir", "parquet"]

_FORMS: dict[str, OutputForm] = {".csv": "csv", ".ndjson": "fhir", ".parquet": "parquet"}
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_needs_quotes = re.compile(r'[,"\n\r]').search
_TEXTS = ("model", "reason", "reason_text", "not_used")
_COLUMNS = ("id", "probability", "percentile", *_TEXTS)


def output_form(path: Path) -> OutputForm:
    """Returns the form of an output by the end of its name; PanelRefused for another one."""
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise PanelRefused(
            f"{path.name}: write to a name that ends in .csv, .parquet or .ndjson (FHIR RiskAssessment, one in a line)."
        )
    return form


@dataclass(slots=True)
class ResumableOutput:
    """A file that is written in parts; `signature` is of everything that decides what is in it.

    Raises:
        PanelRefused: an unfinished output of other rows, another model or another declaration lies there.
    """

    path: Path
    signature: str
    restart: bool = False
    rows: int = 0
    tally: dict[str, int] = field(default_factory=dict)
    _size: int = 0

    def __post_init__(self) -> None:
        if not self.path.parent.is_dir():
            raise PanelRefused(f"The folder {self.path.parent} for the output is not there: make it first.")
        if self.restart or not (self._part.is_file() and self._state.is_file()):
            self._part.write_bytes(b"")
            self._state.unlink(missing_ok=True)
            return
        state = orjson.loads(self._state.read_bytes())
        if state["signature"] != self.signature:
            raise PanelRefused(
                f"{self._part} is unfinished and was begun with other rows, another model or another declaration: "
                "--restart begins again."
            )
        self.rows, self._size, self.tally = state["rows"], state["bytes"], state["tally"]
        os.truncate(self._part, self._size)  # what was written after the last part that is known to be complete

    @property
    def _part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def _state(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part.json")

    def begin(self, header: bytes) -> None:
        """Writes the header of a table of which no row is there yet."""
        self._part.write_bytes(header)
        self._size = len(header)

    def add(self, content: bytes, rows: int) -> None:
        """Appends the lines of so many more rows, and notes that they are there."""
        with self._part.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._size += len(content)
        self.rows += rows
        state = {"signature": self.signature, "rows": self.rows, "bytes": self._size, "tally": self.tally}
        new = self._state.with_name(f"{self._state.name}.new")
        new.write_bytes(orjson.dumps(state))
        new.replace(self._state)

    def discard(self) -> None:
        """Leaves nothing of an output that was begun."""
        self._part.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def finish(self, types: str = "") -> None:
        """Puts the complete file in its place; as Parquet where `types` names the columns and their SQL types."""
        if types:
            _to_parquet(self._part, self.path, types)
            self._part.unlink()
        else:
            self._part.replace(self.path)
        self._state.unlink(missing_ok=True)


def signature_of(*parts: Any) -> str:
    """Returns a digest of everything that decides what an output holds."""
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=_plain)).hexdigest()


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _to_parquet(part: Path, out: Path, types: str) -> None:
    connection = duckdb_connection()
    beside = out.with_name(f"{out.name}.new")
    options = f"header=true, columns={types}, nullstr='', allow_quoted_nulls=false"
    rows = f"SELECT * FROM read_csv({_quoted(part)}, {options})"  # noqa: S608 - a path that is quoted, our own names
    connection.execute(f"COPY ({rows}) TO {_quoted(beside)} (FORMAT parquet)")
    beside.replace(out)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def csv_header(explained: Sequence[str]) -> bytes:
    """Returns the first line; `explained` are the columns that explain a score, none where nobody asked for them."""
    return (",".join((*_COLUMNS, *explained)) + "\n").encode()


def sql_types(explained: Sequence[str]) -> str:
    """Returns the columns with their types, as DuckDB takes them."""
    typed = {name: "VARCHAR" if name in ("id", *_TEXTS) else "DOUBLE" for name in (*_COLUMNS, *explained)}
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in typed.items()) + "}"


def csv_lines(ids: Sequence[Any], answers: dict[str, Any], explained: Sequence[str]) -> bytes:
    """Returns one line (RFC 4180) per row; a number in the fewest digits that mean it, nothing where there is none."""
    first = _numbers([answers["probability"], answers["percentile"]])
    texts = [[_field(text) for text in answers[name].tolist()] for name in _TEXTS]
    columns = [[_field(value) for value in ids], first, *texts]
    if explained:
        columns.append(_numbers([answers[name] for name in explained]))
    return ("\n".join(map(",".join, zip(*columns, strict=True))) + "\n").encode() if len(ids) else b""


def _numbers(columns: Sequence[Any]) -> list[str]:
    """Returns one text per row, its numbers between commas. orjson writes a float in the fewest digits, and fast."""
    table = np.ascontiguousarray(np.column_stack(columns), dtype=np.float64)
    text = orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[2:-2].replace("null", "").split("],[") if len(table) else []


def write_fields(rows: Sequence[Sequence[Any]]) -> bytes:
    """Lines of CSV (RFC 4180); nothing where there is no value."""
    columns = [_fields(column) for column in zip(*rows, strict=True)]
    return ("\n".join(map(",".join, zip(*columns, strict=True))) + "\n").encode() if columns else b""


def _fields(column: tuple[Any, ...]) -> list[str]:
    """Returns the fields of a column; of texts, which are few different ones, each different one is made once."""
    different = set(column)
    if set(map(type, different)) == {str}:
        fields = {text: _field(text) for text in different}
        return list(map(fields.__getitem__, column))
    return ["" if value is None else repr(value) if type(value) is float else _field(value) for value in column]


def _field(value: Any) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if _needs_quotes(text) else text


def risk_assessments(ids: Sequence[Any], answers: dict[str, Any], manifests: dict[str, Manifest], moment: str) -> bytes:
    """Returns one FHIR R4 RiskAssessment a line; without a score it has the reason and no probability."""
    columns = [answers[name].tolist() for name in ("probability", "percentile", "model", "reason", "reason_text")]
    rows = zip(ids, *columns, strict=True)
    first = next(iter(manifests.values()))
    assessments = [
        risk_assessment(manifests.get(by, first), moment, str(identity), probability, percentile, reason, text)
        for identity, probability, percentile, by, reason, text in rows
    ]
    return b"".join(orjson.dumps(assessment) + b"\n" for assessment in assessments)


def risk_assessment(
    manifest: Manifest,
    moment: str,
    identity: str,
    probability: float | None,
    percentile: float | None,
    reason: str,
    text: str,
) -> dict[str, Any]:
    """Returns a FHIR R4 RiskAssessment of a model's estimate, or of the reason for none."""
    prediction: dict[str, Any] = {"outcome": {"text": manifest.outcome.words}}
    if probability is None or reason:
        prediction["rationale"], note = text, f"No score ({reason})."
    else:
        note = f"Higher than {percentile:g} in 100 of {manifest.reference.words}."
        years = {"value": round(manifest.outcome.horizon_years, 4), "unit": "a"}
        prediction["probabilityDecimal"] = probability
        prediction["whenRange"] = {"high": {**years, "system": "http://unitsofmeasure.org", "code": "a"}}
    return {
        "resourceType": "RiskAssessment",
        "status": "final",
        "method": {"text": f"{manifest.id} {manifest.version}, {manifest.title} (sha256 {manifest.file.sha256})"},
        "subject": _subject(identity),
        "occurrenceDateTime": moment,
        "prediction": [prediction],
        "note": [{"text": note}],
    }


def _subject(identity: str) -> dict[str, Any]:
    if _FHIR_ID.fullmatch(identity):
        return {"reference": f"Patient/{identity}"}
    return {"identifier": {"value": identity}}
