"""Writes Arrow tables as they come to CSV, Parquet or FHIR RiskAssessments: complete under its name, or absent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import orjson

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import BatchRefused

OutputForm: TypeAlias = Literal["csv", "fhir", "parquet"]
_FORMS: dict[str, OutputForm] = {".csv": "csv", ".ndjson": "fhir", ".parquet": "parquet"}
_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def output_form(path: Path) -> OutputForm:
    """Return the form of an output by the end of its name; BatchRefused for another one, or without its folder."""
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise BatchRefused(
            f"{path.name}: write to a name that ends in .csv, .parquet or .ndjson (FHIR RiskAssessment, one in a line)."
        )
    if not path.parent.is_dir():
        raise BatchRefused(f"The folder {path.parent} for the output is not there: make it first.")
    return form


class OutputFile:
    """A file of scores that is written table by table beside its place, and put there when all is written.

    `assessment` makes a FHIR RiskAssessment of a row, and None of a row that has none.
    """

    def __init__(self, path: Path, assessment: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        self._path, self._form, self._assessment = path, output_form(path), assessment
        self._part = path.with_name(f"{path.name}.part")
        self._writer: Any = None

    def __enter__(self) -> Self:
        self._file = self._part.open("wb")
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self._file.close()
        if failed is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def add(self, table: Any) -> None:
        """Write the rows of an Arrow table; all that are added have the same columns."""
        if self._form == "fhir":
            assessments = map(self._assessment, table.to_pylist())
            self._file.write(
                b"".join(orjson.dumps(assessment) + b"\n" for assessment in assessments if assessment is not None)
            )
            return
        if self._writer is None:
            self._writer = self._new_writer(table.schema)
        self._writer.write_table(table)

    def _new_writer(self, schema: Any) -> Any:
        if self._form == "parquet":
            import pyarrow.parquet

            return pyarrow.parquet.ParquetWriter(self._file, schema)
        import pyarrow.csv

        self._file.write((",".join(schema.names) + "\n").encode())
        options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed")
        return pyarrow.csv.CSVWriter(self._file, schema, write_options=options)


def risk_assessment(manifest: Manifest, moment: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a FHIR R4 RiskAssessment of a model's estimate about one person, or of the reason for none.

    `row` has `id`, `probability`, `percentile`, `reason` and `reason_text`.

    Raises:
        BatchRefused: the row names nobody.
    """
    identity = (row["id"] or "").strip()
    if not identity:
        raise BatchRefused(
            "A row has no id, and a RiskAssessment says whom it is about: name each row, or write to .csv or .parquet."
        )
    prediction: dict[str, Any] = {"outcome": {"text": manifest.outcome.words}}
    if row["probability"] is None or row["reason"]:
        prediction["rationale"], note = row["reason_text"], f"No score ({row['reason']})."
    else:
        note = f"Higher than {row['percentile']:g} in 100 of {manifest.reference.words}."
        years = {"value": round(manifest.outcome.horizon_years, 4), "unit": "a"}
        prediction["probabilityDecimal"] = row["probability"]
        prediction["whenRange"] = {"high": {**years, "system": "http://unitsofmeasure.org", "code": "a"}}
    is_fhir_id = _FHIR_ID.fullmatch(identity) is not None
    return {
        "resourceType": "RiskAssessment",
        "status": "final",
        "method": {"text": f"{manifest.id} {manifest.version}, {manifest.title} (sha256 {manifest.file.sha256})"},
        "subject": {"reference": f"Patient/{identity}"} if is_fhir_id else {"identifier": {"value": identity}},
        "occurrenceDateTime": moment,
        "prediction": [prediction],
        "note": [{"text": note}],
    }
