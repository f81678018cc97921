"""Folders of FHIR: bundles and Bulk Data by type give what the services compute from the same charts."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.samples import list_samples, load_patient
from cds_hooks.settings import Settings, settings
from cds_hooks.tools.batch.charts import RawChart, Wanted, charts_of
from cds_hooks.tools.batch.run import FhirJob, score_folder
from cds_hooks.tools.batch.scoring import questions_about, read_chart
from cds_hooks.tools.kit.simulator.chart import resources_of
from fhir.record.folder import FolderTally
from fhir.record.record import read_record, read_value
from fhir.record.resources import Condition
from models_onnx.equations.calculate import RecordInputs, inputs_from_record
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import BatchRefused, EquationRefused
from tests.cds_hooks.samples.reading import AS_OF
from tests.each import each_row

pytestmark = pytest.mark.slow  # They score whole panels.

SAMPLES = list_samples()


@pytest.fixture
def by_type(tmp_path: Path) -> Path:
    """The samples as a Bulk Data export: one file for each type, the patients' resources mixed."""
    folder = tmp_path / "export"
    folder.mkdir()
    lines: dict[str, list[str]] = {}
    for sample in SAMPLES:
        for resource in resources_of(load_patient(sample.id, AS_OF)):
            lines.setdefault(resource["resourceType"], []).append(json.dumps(resource, separators=(",", ":")))
    for kind, found in lines.items():
        (folder / f"{kind}.ndjson").write_text("\n".join(found[::2] + found[1::2]) + "\n")
    return folder


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    """The samples as bundles, half of them packed."""
    folder = tmp_path / "bundles"
    folder.mkdir()
    for number, sample in enumerate(SAMPLES):
        content = json.dumps(load_patient(sample.id, AS_OF), indent=1).encode()
        if number % 2:
            (folder / f"{sample.id}.json").write_bytes(content)
        else:
            (folder / f"{sample.id}.json.gz").write_bytes(gzip.compress(content))
    return folder


def charts_in(folder: Path, tally: FolderTally, names: tuple[str, ...] = ()) -> list[RawChart]:
    """The charts of the folder, with what the named models and equations read."""
    with charts_of(folder, Wanted.of(questions_about(names, Settings()).needs), tally) as charts:
        return list(charts)


def scored(folder: Path, out: Path, **other: Any) -> list[dict[str, str]]:
    """The lines for this folder, sorted."""
    score_folder(FhirJob(folder, AS_OF, out, Settings(), **other))
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted(rows, key=lambda row: (row["id"], row["name"], row["output"]))


def test_an_equation_says_of_each_chart_what_it_says_of_the_whole_record(by_type: Path, tmp_path: Path) -> None:
    """What was left out on the way, because nothing asks for it, changes no value and no reason."""
    found = {(row["id"], row["name"], row["output"]): row for row in scored(by_type, tmp_path / "a.csv")}
    site = {"calibration": "north_america"}
    for sample in SAMPLES:
        bundle, _ = read_value("chart", json.dumps(load_patient(sample.id, AS_OF)).encode())
        record = read_record({"chart": bundle}, sample.id, AS_OF)
        for name, equation in find_equations().items():
            charted = inputs_from_record(equation, record, site if name == "kfre_4" else {})
            for output in equation.outputs:
                row = found[sample.id, name, output.id]
                assert (row["value"], row["reason"], row["reason_text"]) == _said(charted, output.id)


def _said(charted: RecordInputs, output: str) -> tuple[str, str, str]:
    try:
        return str(charted.calculate(output).value), "", ""
    except EquationRefused as refused:
        return "", refused.reason, refused.text


@pytest.mark.parametrize("by", ["label", "Consent"])
def test_who_has_opted_out_gets_no_number_at_all(tmp_path: Path, by: str) -> None:
    """The bedside still computes what warns of harm; a list of many people warns of none."""
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}
    purpose = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREATDS"}
    consent = {"resourceType": "Consent", "status": "active", "provision": {"type": "deny", "purpose": [purpose]}}
    folder = tmp_path / "bundles"
    folder.mkdir()
    for sample in SAMPLES[:12]:
        bundle = load_patient(sample.id, AS_OF)
        for entry in bundle["entry"]:
            if by == "label" and entry["resource"]["resourceType"] == "Patient":
                entry["resource"]["meta"] = {"security": [label]}
        if by == "Consent":
            bundle["entry"].append({"resource": consent | {"patient": {"reference": f"Patient/{sample.id}"}}})
        (folder / f"{sample.id}.json").write_text(json.dumps(bundle))
    found = scored(folder, tmp_path / "a.csv")
    assert {row["value"] for row in found} == {""}
    assert {row["reason"] for row in found} <= {"opted-out", "deceased"}


def test_what_is_no_fhir_and_whom_nobody_knows_is_counted(by_type: Path, tmp_path: Path) -> None:
    conditions = by_type / "Condition.ndjson"
    more = 'half of a line\n{"resourceType":"Condition","id":"x","code":{"text":"of nobody"}}\n'
    conditions.write_text(conditions.read_text() + more)
    tally = FolderTally()
    charts = charts_in(by_type, tally)
    assert (tally.unreadable, tally.without_patient) == (1, 1)
    assert len(charts) == len(SAMPLES)
    with pytest.raises(BatchRefused, match="holds no bundle"):
        charts_in(_empty(tmp_path), FolderTally())


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.fixture
def fixed_now(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of the commands stands at the samples' instant."""
    monkeypatch.setenv("CDS_AS_OF", AS_OF.isoformat())
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.usefixtures("fixed_now")
def test_a_day_in_the_past_knows_nothing_of_what_came_after(by_type: Path, tmp_path: Path) -> None:
    """Who has died by now was alive then, and values of later are not used."""
    then = (AS_OF - timedelta(days=400)).date().isoformat()
    for day, out in ((None, tmp_path / "now.csv"), (then, tmp_path / "then.csv")):
        words = ["score", "mortality_5y", "--fhir", str(by_type), "--out", str(out)]
        answer = CliRunner().invoke(cli.app, [*words, *(["--as-of", day] if day else [])])
        assert answer.exit_code == 0, answer.output
    now, before = (
        {row["id"]: row for row in csv.DictReader((tmp_path / name).read_text().splitlines())}
        for name in ("now.csv", "then.csv")
    )
    assert now["deceased"]["reason"] == "deceased"
    assert before["deceased"]["reason"] != "deceased"
    assert now["planning-talk"]["value"]
    assert before["planning-talk"]["value"] != now["planning-talk"]["value"]


@pytest.mark.usefixtures("fixed_now")
@each_row(("words", "said"))
def test_what_cannot_be_asked_of_charts_is_said(by_type: Path, words: str, said: str, tmp_path: Path) -> None:
    typed = ["score", *words.split(), "--fhir", str(by_type), "--out", str(tmp_path / "s.csv")]
    answer = CliRunner().invoke(cli.app, typed)
    assert (answer.exit_code, said in " ".join(answer.output.split())) == (2, True), answer.output


def test_one_unreadable_resource_spoils_no_other(by_type: Path) -> None:
    tally = FolderTally()
    chart = next(each for each in charts_in(by_type, tally) if each.patient_id == "planning-talk")
    known = read_chart(chart, AS_OF)
    chart.resources.append(
        b'{"resourceType":"Condition","id":"c9","code":17,"subject":{"reference":"Patient/planning-talk"}}'
    )
    again = read_chart(chart, AS_OF)
    assert len(again.facts(Condition)) == len(known.facts(Condition))
    assert [each.reason for each in again.refusals if each.reason == "unreadable"] == ["unreadable"]


MODEL = "mortality_5y"


def test_a_name_that_is_neither_a_model_nor_an_equation_is_refused_with_those_there_are() -> None:
    with pytest.raises(BatchRefused) as refused:
        questions_about(("fib4", "unheard-of"), Settings())
    assert str(refused.value).startswith("'unheard-of' is neither a model nor an equation; there are: ")
    for name in (MODEL, "fib4"):
        assert name in str(refused.value)
