"""Exports in one order of patients are read side by side: the rows are those of partitioning, and of the bedside.

Any export whose lines stand otherwise is partitioned, also where that is only found on the way.
"""

import csv
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.kit.simulator.chart import resources_of
from cds_hooks.panel import export_order, ordered_charts, run
from cds_hooks.panel.chart_lines import GroupingTally, Wanted
from cds_hooks.panel.export_order import order_of
from cds_hooks.panel.grouping import files_of
from cds_hooks.panel.ordered_charts import charts_in_order
from cds_hooks.panel.run import FhirJob, FhirResult, score_folder
from cds_hooks.panel.scoring import Score, _one_by_one, read_chart, score_records
from cds_hooks.panel.selection import questions_about
from cds_hooks.settings import Settings
from fhir.record.reading import read_record, read_value
from fhir.record.record import PatientRecord
from models_onnx.equations.record_inputs import inputs_from_record
from models_onnx.errors import EquationRefused, PanelRefused
from tests.cds_hooks.kit.samples.reading import AS_OF

Row = tuple[str, ...]


def _write(folder: Path, charts: list[list[dict[str, Any]]]) -> Path:
    """One file for each type, the charts one after the other in each of them."""
    folder.mkdir()
    lines: dict[str, list[str]] = {}
    for chart in charts:
        for resource in chart:
            lines.setdefault(resource["resourceType"], []).append(json.dumps(resource, separators=(",", ":")))
    for kind, found in lines.items():
        (folder / f"{kind}.ndjson").write_text("\n".join(found) + "\n")
    return folder


@pytest.fixture
def in_order(tmp_path: Path) -> Path:
    """The samples as an export that was written patient by patient."""
    charts = [resources_of(load_patient(sample.id, AS_OF)) for sample in list_samples()]
    return _write(tmp_path / "export", charts)


def _scored(folder: Path, out: Path, **other: Any) -> tuple[list[Row], FhirResult]:
    """The lines, sorted, with what the run says of itself."""
    result = score_folder(FhirJob(folder, other.pop("as_of", AS_OF), out, Settings(), **other))
    with out.open(encoding="utf-8", newline="") as file:
        return sorted(map(tuple, csv.reader(file))), result


def _is_in_order(folder: Path) -> bool:
    return order_of(files_of(folder), Wanted.of(questions_about((), Settings()).needs)) is not None


def _dealt(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **other: Any) -> tuple[list[Row], FhirResult]:
    """The same by partitioning every line."""
    with monkeypatch.context() as patch:
        patch.setattr(run, "order_of", lambda _files, _wanted: None)
        return _scored(folder, out, **other)


def _append(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write(text)

    return change


def _edit(name: str, edit: Callable[[str], str]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(edit(path.read_text()))

    return change


def _pack(folder: Path) -> None:
    for path in folder.glob("*.ndjson"):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def _in_two_files(folder: Path) -> None:
    lines = (folder / "Observation.ndjson").read_text().splitlines(keepends=True)
    for number, part in enumerate((lines[: len(lines) // 2], lines[len(lines) // 2 :])):
        (folder / f"Observation.{number}.ndjson").write_text("".join(part))
    (folder / "Observation.ndjson").unlink()


def _type_last(text: str) -> str:
    resources = map(json.loads, text.splitlines())
    return "".join(json.dumps(each | {"resourceType": each.pop("resourceType")}) + "\n" for each in resources)


_OTHER = '{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/nobody"},"code":{"coding":'
WAYS: dict[str, Callable[[Path], None]] = {
    "as it is": lambda _: None,
    "packed": _pack,
    "one type in two files": _in_two_files,
    "line breaks of Windows and empty lines": _edit("Observation.ndjson", lambda text: text.replace("\n", "\r\n\n")),
    "no line break at the end": _edit("Observation.ndjson", str.rstrip),
    "the type last": _edit("Observation.ndjson", _type_last),
    "an address for a patient": _edit(
        "Condition.ndjson", lambda text: text.replace('"Patient/', '"https://host.example/fhir/Patient/')
    ),
    "a line about nobody": _append(
        "Observation.ndjson", _OTHER + '[{"system":"http://loinc.org","code":"2160-0"}]}}\n'
    ),
    "a line without a subject": _append("Condition.ndjson", '{"resourceType":"Condition","id":"c"}\n'),
    "a line that is no JSON": _edit("Observation.ndjson", lambda text: text[:5000] + text[5040:]),
    "a value of another kind": _edit(
        "Observation.ndjson", lambda text: text.replace('"status":"final"', '"status":7', 3)
    ),
    "names with an escape": _edit("Encounter.ndjson", lambda text: text.replace('"status"', '"stat\\u0075s"')),
    "types that nothing reads": _append("Organization.ndjson", '{"resourceType":"Organization","id":"o"}\n' * 3),
    "an unwanted file with something else in it": _append(
        "Organization.ndjson", '{"resourceType":"Organization","id":"o"}\n{"id":"p","resourceType":"Practitioner"}\n'
    ),
    "products that orders name": _append(
        "Medication.ndjson", '{"resourceType":"Medication","id":"m1","code":{"text":"Warfarin"}}\n'
    ),
}


@pytest.mark.parametrize("size", [700, 9_000])  # the shorter one is shorter than most lines
@pytest.mark.parametrize("way", WAYS)
def test_however_an_export_is_written_its_rows_are_those_of_partitioning_it(
    in_order: Path, way: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WAYS[way](in_order)
    monkeypatch.setattr(ordered_charts, "PIECE_BYTES", size)
    assert _is_in_order(in_order)
    monkeypatch.setattr(run, "charts_of", None)  # nothing is partitioned
    rows, result = _scored(in_order, tmp_path / "a.csv")
    monkeypatch.undo()
    expected, dealt = _dealt(in_order, tmp_path / "b.csv", monkeypatch)
    assert rows == expected
    assert len({row[0] for row in rows}) == len(list_samples()) + 1
    assert result.resources == dealt.resources


def _late(text: str) -> str:
    first, _, others = text.partition("\n")
    return others + first + "\n"


def _twice(text: str) -> str:
    return text + text.partition("\n")[0] + "\n"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Observation.ndjson", _late),
        ("Condition.ndjson", _late),
        ("Patient.ndjson", _twice),
        ("Condition.ndjson", lambda text: '{"resourceType":"Medication","id":"m"}\n' + text),
        ("Encounter.ndjson", lambda text: text + '{"resourceType":"Patient","id":"new","gender":"male"}\n'),
        ("Organization.ndjson", lambda _: '{"resourceType":"Organization"}\n{"resourceType":"Patient","id":"x"}\n'),
    ],
)
def test_an_export_in_no_order_is_partitioned_also_where_that_is_found_on_the_way(
    in_order: Path,
    name: str,
    change: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = in_order / name
    path.write_text(change(path.read_text() if path.exists() else ""))
    monkeypatch.setattr(run, "PATIENTS_AT_ONCE", 3)
    monkeypatch.setattr(ordered_charts, "_PATIENTS_TOGETHER", 3)
    rows, result = _scored(in_order, tmp_path / "a.csv")
    expected, dealt = _dealt(in_order, tmp_path / "b.csv", monkeypatch)
    assert rows == expected
    assert result == dealt


def test_a_run_goes_on_in_the_way_in_which_it_was_begun(
    in_order: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PATIENTS_AT_ONCE", 5)
    monkeypatch.setattr(ordered_charts, "_PATIENTS_TOGETHER", 5)
    whole, _ = _scored(in_order, tmp_path / "a.csv")

    def stops(done: int) -> None:
        if done >= 10:
            raise KeyboardInterrupt

    for is_dealt in (False, True):
        job = FhirJob(in_order, AS_OF, tmp_path / f"{is_dealt}.csv", Settings())
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the context is of it
            if is_dealt:
                patch.setattr(run, "order_of", lambda _files, _wanted: None)
            score_folder(job, stops)
        again = score_folder(job)
        assert again.resumed_at == 10
        with job.out.open(encoding="utf-8", newline="") as file:
            assert sorted(map(tuple, csv.reader(file))) == whole


def test_patients_whose_digests_are_close_are_told_apart(in_order: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some of millions are: floats of 53 bits would not tell them apart."""
    digests: dict[str, int] = {}
    monkeypatch.setattr(export_order, "_digest", lambda patient: digests.setdefault(patient, 2**62 + len(digests)))
    found = order_of(files_of(in_order), Wanted.of(questions_about((), Settings()).needs))
    assert found is not None
    assert [found.number_of(patient) for patient in digests] == list(range(len(list_samples())))
    assert found.number_of("nobody") is None


def test_any_part_of_the_patients_can_be_read_by_itself(in_order: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As each of several processes does; every resource is read by one of them."""
    monkeypatch.setattr(ordered_charts, "PIECE_BYTES", 9_000)
    asked = questions_about((), Settings())
    wanted = Wanted.of(asked.needs)
    found = order_of(files_of(in_order), wanted)
    assert found is not None
    whole = list(charts_in_order(found, wanted, tally := GroupingTally()))
    assert any(chart.refusals for chart in whole), "one sample has resources that cannot be decoded"
    expected = score_records(asked, [read_chart(each, AS_OF) for each in whole])
    for length in (1, 3, 7):
        parts = GroupingTally()
        read = [
            chart
            for first in range(0, found.patients, length)
            for chart in charts_in_order(found, wanted, parts, first, min(first + length, found.patients))
        ]
        assert score_records(asked, [read_chart(each, AS_OF) for each in read]) == expected
        assert parts == tally


def test_a_packed_file_that_breaks_off_scores_nobody(in_order: Path, tmp_path: Path) -> None:
    _pack(in_order)
    path = in_order / "Observation.ndjson.gz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PanelRefused, match=r"Observation\.ndjson\.gz cannot be unpacked to its end"):
        _scored(in_order, tmp_path / "a.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "as_of", "numbers"),
    [
        ("synthea", datetime(2021, 3, 14, tzinfo=UTC), 100),
        ("synthea", datetime(2012, 5, 1, tzinfo=UTC), 60),
        ("mimic-iv-demo", datetime(2150, 6, 1, tzinfo=UTC), 30),  # each of them has another century
    ],
)
def test_all_shared_charts_have_the_numbers_that_the_bedside_gives_one_by_one(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, as_of: datetime, numbers: int
) -> None:
    """Each whole bundle is read as a call's data is; a model is asked about one patient at a time."""
    paths = sorted((data_folder / "fhir" / source).glob("*.json.gz"))
    bundles = [json.loads(gzip.decompress(path.read_bytes())) for path in paths]
    folder = _write(tmp_path / "export", [_named(bundle) for bundle in bundles])
    assert _is_in_order(folder)
    rows, result = _scored(folder, tmp_path / "a.csv", as_of=as_of)
    assert result.patients == len(paths)
    by_process, _ = _scored(folder, tmp_path / "b.csv", as_of=as_of, workers=2)
    assert by_process == rows
    assert _dealt(folder, tmp_path / "c.csv", monkeypatch, as_of=as_of)[0] == rows

    asked = questions_about((), Settings())
    expected: list[Row] = []
    for bundle in bundles:
        (patient,) = (
            each["resource"]["id"] for each in bundle["entry"] if each["resource"]["resourceType"] == "Patient"
        )
        read, refused = read_value("chart", json.dumps(bundle).encode())
        record = read_record({"chart": read}, patient, as_of, on_other_patient="refuse", refusals=refused)
        expected += [_row(score) for score in _at_the_bedside(asked, record)]
    assert sorted(expected) == [row for row in rows if row[0] != "id"]
    assert sum(bool(row[4]) for row in expected) >= numbers


def _named(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources with references by type and id, as a server exports them."""
    names = {
        each["fullUrl"]: f"{each['resource']['resourceType']}/{each['resource']['id']}"
        for each in bundle["entry"]
        if each.get("fullUrl")
    }

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [named(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    return [named(each["resource"]) for each in bundle["entry"]]


def _at_the_bedside(asked: Any, record: PatientRecord) -> list[Score]:
    found: list[Score] = []
    for each in asked.models:
        name = each.model.manifest.id
        outside = each.outside(record)
        if outside is not None:
            found.append(Score(record.patient_id, name, reason=outside.reason, reason_text=outside.text))
        else:
            found.append(_one_by_one(each, record, each.inputs(record)))
    for equation in asked.equations:
        is_regional = any(item.name == "calibration" for item in equation.inputs)
        charted = inputs_from_record(equation, record, {"calibration": asked.region} if is_regional else {})
        for output in equation.outputs:
            try:
                result = charted.calculate(output.id)
            except EquationRefused as no:
                found.append(Score(record.patient_id, equation.id, output.id, reason=no.reason, reason_text=no.text))
                continue
            band = result.band.id if result.band is not None else ""
            found.append(
                Score(record.patient_id, equation.id, output.id, equation.id, result.value, output.unit, band=band)
            )
    return found


def _row(score: Score) -> Row:
    texts = [score.patient_id, score.name, score.output, score.by, score.value, score.unit, score.percentile]
    texts += [score.band, score.reason, score.reason_text]
    return tuple("" if each is None else str(each) for each in texts)
