"""Folders of FHIR: bundles and Bulk Data by type give what the services compute from the same charts."""

import csv
import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.batch import run, scoring
from cds_hooks.batch.charts import FolderTally, RawChart, Wanted, charts_of
from cds_hooks.batch.run import FhirJob, score_folder
from cds_hooks.batch.scoring import questions_about, read_chart
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.kit.simulator.chart import resources_of
from cds_hooks.services import _model
from cds_hooks.settings import Settings, settings
from cds_hooks.trusted_models import AbsentModel
from fhir.record.record import read_record, read_value
from fhir.record.refusals import WhyNot
from models_onnx.equations.calculate import RecordInputs, inputs_from_record
from models_onnx.equations.declaration import find_equations
from models_onnx.errors import BatchRefused, EquationRefused
from models_onnx.serving.registry import load_model
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.kit.samples.test_planning import advice_for

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


def test_an_export_by_type_gives_what_bundles_give(by_type: Path, bundles: Path, tmp_path: Path) -> None:
    found = scored(by_type, tmp_path / "a.csv")
    assert found == scored(bundles, tmp_path / "b.csv")
    assert {row["id"] for row in found} == {sample.id for sample in SAMPLES}
    asked = questions_about((), Settings())
    per_patient = len(asked.models) + sum(len(each.outputs) for each in asked.equations)
    assert len(found) == per_patient * len(SAMPLES)
    assert all(bool(row["value"]) != bool(row["reason"]) for row in found)


def test_the_model_says_of_each_chart_what_its_service_says(by_type: Path, tmp_path: Path) -> None:
    rows = {row["id"]: row for row in scored(by_type, tmp_path / "a.csv", names=("mortality_5y",))}
    speaking = 0
    for sample in SAMPLES:
        advice, row = advice_for(sample), rows[sample.id]
        if advice.scores is not None and "guideline" in advice.scores:
            assert row["reason"], "the talk is offered without a number, so there is none here"
        elif advice.scores is None:
            (silence,) = advice.silences
            assert (row["reason"], row["reason_text"]) == (silence.reason, silence.text)
        else:
            speaking += 1
            assert (float(row["value"]), float(row["percentile"])) == (
                advice.scores["probability"],
                advice.scores["percentile"],
            )
            assert row["by"] == advice.scores["id"]
    assert speaking >= 3


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


def test_several_processes_give_the_same_file(by_type: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENTS_AT_ONCE", 4)
    alone, together = tmp_path / "a.csv", tmp_path / "b.csv"
    scored(by_type, alone)
    scored(by_type, together, workers=2)
    assert alone.read_bytes() == together.read_bytes()


def test_risk_assessments_of_charts_are_valid(by_type: Path, tmp_path: Path) -> None:
    out = tmp_path / "risk.ndjson"
    score_folder(FhirJob(by_type, AS_OF, out, Settings(), names=("mortality_5y",)))
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(found) == len(SAMPLES)
    for each in found:
        RiskAssessment.model_validate(each)


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
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--as-of 2999-01-01", "is in the future"),
        ("--as-of yesterday", "is not a date"),
        ("--only banana", "'banana' is neither a model nor an equation"),
        ("mortality_5y rows.csv", "leave it out with --fhir"),
        ("--unit bun=mmol/L", "leave it out with --fhir"),
    ],
)
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
    assert len(again.conditions) == len(known.conditions)
    assert [each.reason for each in again.refusals if each.reason == "unreadable"] == ["unreadable"]


MODEL = "mortality_5y"


def test_a_name_that_is_neither_a_model_nor_an_equation_is_refused_with_those_there_are() -> None:
    with pytest.raises(BatchRefused) as refused:
        questions_about(("fib4", "unheard-of"), Settings())
    assert str(refused.value).startswith("'unheard-of' is neither a model nor an equation; there are: ")
    for name in (MODEL, "fib4"):
        assert name in str(refused.value)


def test_without_names_every_equation_and_the_models_of_which_cards_are_shown_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of_services: dict[str, Any] = {
        name: SimpleNamespace(model=SimpleNamespace(id=name, features=())) for name in ("shown", "withheld")
    }
    monkeypatch.setattr(scoring, "_of_services", lambda _: of_services)
    monkeypatch.setattr(scoring, "why_withheld", lambda model: None if model.id == "shown" else "a draft")
    asked = questions_about((), Settings())
    assert list(asked.models) == [of_services["shown"]]
    assert [item.id for item in asked.equations] == list(find_equations())
    assert list(questions_about(("withheld",), Settings()).models) == [of_services["withheld"]]


def test_a_model_that_is_not_there_is_of_no_service_and_named_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = AbsentModel(MODEL, ValueError("its signature does not fit"), ())
    services = {
        "a": SimpleNamespace(of_chart=None),
        "b": SimpleNamespace(of_chart=SimpleNamespace(model=absent)),
        "c": SimpleNamespace(of_chart=SimpleNamespace(model=SimpleNamespace(manifest=SimpleNamespace(id="m")))),
    }
    monkeypatch.setattr(scoring, "find_services", lambda **_: services)
    assert scoring._of_services(Settings()) == {"m": services["c"].of_chart}
    monkeypatch.setattr(scoring, "site_model", lambda *_: absent)
    with pytest.raises(BatchRefused, match="mortality_5y cannot be used: its signature does not fit"):
        questions_about((MODEL,), Settings())


def test_what_is_read_says_also_who_objects_and_whom_a_model_is_not_for() -> None:
    of_models = {"Condition", "Encounter", "Procedure", "ServiceRequest"}
    flags = frozenset({("urn:x", "no")})
    models: Any = [SimpleNamespace(model=SimpleNamespace(features=()))]
    for some, opting_out, resources in (
        ([], frozenset(), {"Consent"}),
        ([], flags, {"Consent", "Flag"}),
        (models, frozenset(), {"Consent", *of_models}),
    ):
        assert set(scoring._needs(some, (), opting_out).resources) == resources


@pytest.mark.parametrize(
    ("deceased", "age", "reason"),
    [(True, 70.0, "deceased"), (False, 5.0, "outside-population"), (False, 70.0, None)],
)
def test_a_model_is_silent_of_the_dead_and_those_it_is_not_for(
    deceased: bool, age: float, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_model, "find_condition", lambda *_: None)
    record: Any = SimpleNamespace(deceased=deceased, age_years=lambda: age)
    silence = scoring._outside(load_model(MODEL), record)
    assert (silence and (silence.subject, silence.reason)) == (reason and (MODEL, reason))


def test_a_condition_that_a_population_leaves_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    population = SimpleNamespace(words="adults without dialysis", exclude_conditions=("stroke", "dialysis"))
    model: Any = SimpleNamespace(manifest=SimpleNamespace(id="m", population=population))
    record: Any = SimpleNamespace(deceased=False, age_years=lambda: 70.0)
    monkeypatch.setattr(_model, "not_in_population", lambda *_: None)
    monkeypatch.setattr(_model, "find_condition", lambda _, key: key == "dialysis" or None)
    silence = scoring._outside(model, record)
    assert silence is not None
    assert silence.text == "The model is for adults without dialysis; dialysis is on record."


def test_a_model_without_a_service_reads_the_chart_and_brings_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_of_services", lambda _: {})
    (alone,) = questions_about((MODEL,), Settings()).models
    assert alone.model.manifest.id == MODEL
    twin = alone.model.manifest.twin
    assert alone.twin.manifest.id == (twin.id if twin is not None else MODEL)
    record: Any = SimpleNamespace(deceased=True)
    assert alone.outside(record) == WhyNot(MODEL, "deceased", "The patient has died.")
