"""The charts in a folder of FHIR: bundles, single resources and Bulk Data NDJSON, grouped by patient by DuckDB.

What no model or equation asks for is left out on the way, which is most of a chart. The rest is sorted by patient in a
temporary file, so memory does not grow with the folder.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import msgspec
from msgspec import Raw, Struct

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.charts import ChartsRefused, files_of, has_lines, unpacked_document
from fhir.record.measurement import GENOMICS, SCREENING
from fhir.terminology.analytes import ANALYTES, LOINC
from fhir.terminology.plain_file import is_packed
from models_onnx.batch.tables import database, literal
from models_onnx.errors import BatchRefused

# Keys of questions for which Observations without a known code are read too (PatientRecord.genetic_observations).
_FOUND_WITHOUT_CODE = frozenset({GENOMICS, SCREENING})
_URN = re.compile(rb'"(urn:[^"]+)"')
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_LONGEST_LINE = 16_000_000
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resource types and which LOINC codes of Observations are read; no codes: every Observation."""

    types: tuple[str, ...]
    codes: tuple[str, ...]

    @staticmethod
    def of(needs: Needs) -> "Wanted":
        """Return what these needs read, beside the Patient."""
        codes = [code for key in needs.analytes for code in ANALYTES[key].loinc]
        codes += PRESSURE_PANELS if needs.analytes & PRESSURE else ()
        types = {"Patient", "Observation", *needs.resources}
        types |= {"Medication"} if "MedicationRequest" in types else set()
        is_by_code = codes and not needs.analytes & _FOUND_WITHOUT_CODE
        return Wanted(tuple(sorted(types)), tuple(sorted(set(codes))) if is_by_code else ())


@dataclass(slots=True)
class RawChart:
    """One patient's resources as the JSON they came as."""

    patient_id: str
    resources: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class FolderTally:
    """What was read, and what was not: resources without a patient of the folder, lines and files that are no FHIR.

    `unreadable_in` is the first file with one of these. `two_persons` are the patients of whom two Patient resources
    differ in birth date or sex, so that their charts are perhaps of two people.
    """

    resources: int = 0
    used: int = 0
    without_patient: int = 0
    unreadable: int = 0
    unreadable_in: str = ""
    two_persons: int = 0


# Every line of the folder; `line` only where it can matter. An Observation is left out only where its own codes and
# those of its components are known not to be asked for: one without a LOINC code may be read by its name.
_READ = """
INSERT INTO resources
SELECT file, kind, patient, CASE WHEN list_contains($types, kind) AND (
    kind <> 'Observation' OR len($codes) = 0
    OR list_has_any(json_extract_string(json, '$.code.coding[*].code'), $codes)
    OR list_has_any(json_extract_string(json, '$.component[*].code.coding[*].code'), $codes)
    OR NOT list_contains(json_extract_string(json, '$.code.coding[*].system'), $loinc)
) THEN json END
FROM (
    SELECT file, json, said[1] AS kind, CASE WHEN said[1] = 'Patient' THEN said[2]
        ELSE regexp_extract(coalesce(said[3], said[4]), '([^/:]+)(/_history/.*)?$', 1) END AS patient
    FROM (
        SELECT filename AS file, json, json_extract_string(
            json, ['$.resourceType', '$.id', '$.subject.reference', '$.patient.reference']
        ) AS said
        FROM read_json_objects($files, format = 'newline_delimited', compression = $packing, ignore_errors = true,
            filename = true, hive_partitioning = false, maximum_object_size = $longest)
    )
)
"""
# Whose Patient resources differ in what a person has once; a birth date may be more exact than another.
_PEOPLE = """
CREATE TABLE people AS
SELECT patient, count(DISTINCT gender) > 1 OR bool_or(NOT starts_with(longest, born)) AS may_be_two
FROM (
    SELECT patient, line ->> '$.gender' AS gender, coalesce(line ->> '$.birthDate', '') AS born,
        arg_max(born, len(born)) OVER (PARTITION BY patient) AS longest
    FROM resources WHERE kind = 'Patient' AND patient <> ''
)
GROUP BY patient
"""
_TALLY = """
SELECT count(*), count(*) FILTER (kind IS NULL), min(file) FILTER (kind IS NULL),
    count(line) FILTER (kind = 'Medication' OR people.patient IS NOT NULL),
    count(line) FILTER (kind <> 'Medication' AND people.patient IS NULL),
    (SELECT count(*) FROM people WHERE may_be_two)
FROM resources LEFT JOIN people USING (patient)
"""
_CHARTS = """
SELECT patient AS patient_id, CAST(line AS BLOB) AS resource
FROM resources JOIN people USING (patient)
WHERE line IS NOT NULL AND kind <> 'Medication' AND NOT may_be_two
ORDER BY patient, resources.rowid
"""


@contextmanager
def charts_of(folder: Path, wanted: Wanted, tally: FolderTally) -> Iterator[Iterator[RawChart]]:
    """Yield every patient's chart, each once with all that the files tell, in the order of their ids.

    Raises:
        BatchRefused: the folder is not there or holds no FHIR, or a packed file breaks off.
    """
    try:
        files = files_of(folder)
    except ChartsRefused as problem:
        raise BatchRefused(f"{problem}.") from problem
    with TemporaryDirectory(prefix="cds-hooks-batch-") as work, database(Path(work) / "charts.duckdb") as connection:
        connection.execute("CREATE TABLE resources(file VARCHAR, kind VARCHAR, patient VARCHAR, line JSON)")
        documents = Path(work) / "documents.ndjson"
        lines = list(filter(has_lines, files))
        with documents.open("wb") as file:
            for path in files:
                if path not in lines and not _write_document(path, file):
                    tally.resources, tally.unreadable = tally.resources + 1, tally.unreadable + 1
                    tally.unreadable_in = tally.unreadable_in or path.name
        for path in (*lines, documents):
            _read_lines(connection, path, wanted)
        connection.execute(_PEOPLE)
        _count(connection, tally)
        medications = connection.execute(
            "SELECT line ->> '$.id', CAST(line AS BLOB) FROM resources WHERE kind = 'Medication' AND line IS NOT NULL"
        ).fetchall()
        batches = connection.sql(_CHARTS).to_arrow_reader(_ROWS_AT_ONCE)
        yield _with_medications(grouped(batches), {str(name): bytes(line) for name, line in medications})


def _read_lines(connection: Any, path: Path, wanted: Wanted) -> None:
    import duckdb

    if not path.stat().st_size:
        return
    parameters = {
        "files": [literal(path)],
        "packing": "gzip" if is_packed(path) else "none",
        "types": list(wanted.types),
        "codes": list(wanted.codes),
        "loinc": LOINC,
        "longest": _LONGEST_LINE,
    }
    try:
        connection.execute(_READ, parameters)
    except duckdb.Error as error:
        raise BatchRefused(
            f"{path.name} cannot be read to its end: with a part of it charts would be scored without some of their "
            "resources. Export or copy it again."
        ) from error


def _count(connection: Any, tally: FolderTally) -> None:
    ((resources, unreadable, file, *rest),) = connection.execute(_TALLY).fetchall()
    tally.resources, tally.unreadable = tally.resources + resources, tally.unreadable + unreadable
    tally.unreadable_in = tally.unreadable_in or (Path(file).name if file else "")
    tally.used, tally.without_patient, tally.two_persons = rest


def grouped(batches: Iterable[Any]) -> Iterator[RawChart]:
    """Yield the charts in Arrow batches with the columns `patient_id` and `resource`, in which patients lie together.

    Raises:
        BatchRefused: the rows are not sorted, so that a patient could be scored on half a chart, or one names nobody.
    """
    chart: RawChart | None = None
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("patient_id", "resource"))
        for patient, resource in zip(*columns, strict=True):
            if not patient or resource is None:
                raise BatchRefused(
                    "A row has no `patient_id` or no `resource`. Remove such rows first; this part was not scored."
                )
            if chart is None or patient != chart.patient_id:
                if chart is not None:
                    if patient < chart.patient_id:
                        raise BatchRefused(
                            "The rows are not sorted by patient_id. Sort them with "
                            "sortWithinPartitions('patient_id'); this part was not scored."
                        )
                    yield chart
                chart = RawChart(patient)
            chart.resources.append(resource.encode() if isinstance(resource, str) else resource)
    if chart is not None:
        yield chart


def _with_medications(charts: Iterator[RawChart], medications: dict[str, bytes]) -> Iterator[RawChart]:
    """Yield the charts with the Medications that their resources name, which say of no patient whose they are."""
    for chart in charts:
        if medications:
            medication_ids = {
                match.decode()
                for resource in chart.resources
                if b"Medication/" in resource
                for match in re.findall(rb'Medication/([^"/]+)', resource)
            }
            chart.resources += [medications[name] for name in sorted(medication_ids) if name in medications]
        yield chart


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Document(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


class _Named(Struct, frozen=True):
    resourceType: str = ""
    id: str = ""


_document = msgspec.json.Decoder(_Document)
_identity = msgspec.json.Decoder(_Named)


def _write_document(path: Path, out: IO[bytes]) -> bool:
    """Write the resources of a bundle, or a single one, as lines; False where the file is no FHIR.

    A reference by the fullUrl of an entry becomes one by type and id, as a server gives it.
    """
    try:
        content = unpacked_document(path) if is_packed(path) else path.read_bytes()
        content = content.removeprefix(b"\xef\xbb\xbf")
        document = _document.decode(content)
    except ChartsRefused as error:
        raise BatchRefused(str(error)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BatchRefused(f"{path.name} cannot be unpacked to its end. Export or copy it again.") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if document.resourceType not in (None, "Bundle"):
        out.write(content.translate(_LINE_BREAKS) + b"\n")
        return True
    resources = [(entry.fullUrl or "", bytes(entry.resource)) for entry in document.entry]
    names = {url.encode(): _name_of(resource).encode() for url, resource in resources if url.startswith("urn:")}
    for _, resource in resources:
        if resource != b"null":
            renamed = _URN.sub(lambda match: b'"' + (names.get(match[1]) or match[1]) + b'"', resource)
            out.write(renamed.translate(_LINE_BREAKS) + b"\n")
    return True


def _name_of(resource: bytes) -> str:
    try:
        head = _identity.decode(resource)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f"{head.resourceType}/{head.id}" if head.id else ""
