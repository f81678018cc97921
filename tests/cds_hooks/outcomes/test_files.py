"""CSV, NDJSON and FHIR files of outcomes, and the sentence for what is none."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_hooks.outcomes.files import WrongFile, read_file
from cds_hooks.outcomes.labels import (
    DAY,
    Label,
    ThresholdsInForce,
    label_of,
    labels_of,
    site_labels,
    thresholds_in_force,
)
from cds_hooks.outcomes.report import Report
from cds_hooks.settings import Settings
from models_onnx.artifact.manifest import AgeBandThreshold, ModelOutcome, Threshold, Thresholds
from models_onnx.monitoring.performance import Deployed
from tests.constants import settings_with
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import observation

FALL = {"http://loinc.org|00000-0": "fall"}


def file(folder: Path, content: Any, name: str = "o.ndjson") -> Path:
    path = folder / name
    lines = content if isinstance(content, list) else [content]
    text = content if isinstance(content, str) else "\n".join(json.dumps(each) for each in lines)
    path.write_text(text, encoding="utf-8")
    return path


def encounter(**changes: Any) -> dict[str, Any]:
    """An inpatient stay."""
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return builders.encounter(class_, "finished", period={"start": "2026-03-10T08:00:00Z"}) | changes


DECEASED = {"resourceType": "Patient", "id": "p1", "deceasedDateTime": "2026-03-10"}
OBSERVATION = observation("00000-0", when="2026-03-10", id=None, valueBoolean=True)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (encounter(), Report(patient="p1", event="admission", at="2026-03-10T08:00:00Z")),
        (encounter(**{"class": {"code": "AMB"}}), None),
        (encounter(status="planned"), None),
        (encounter(subject={"display": "somebody"}), None),
        (encounter(subject={"reference": "Group/p1"}), None),
        *(
            (
                encounter(subject={"reference": written}),
                Report(patient="p1", event="admission", at="2026-03-10T08:00:00Z"),
            )
            for written in ("https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/2", "urn:uuid:p1")
        ),
        (DECEASED, Report(patient="p1", event="death", at="2026-03-10")),
        ({"resourceType": "Patient", "id": "p1", "deceasedBoolean": True}, None),
        ({"resourceType": "Patient", "id": "p1"}, None),
        (OBSERVATION, Report(patient="p1", event="fall", at="2026-03-10")),
        (OBSERVATION | {"valueBoolean": False}, Report(patient="p1", event="fall", outcome="no", at="2026-03-10")),
        (OBSERVATION | {"valueBoolean": "yes"}, None),
        (OBSERVATION | {"status": "entered-in-error"}, None),
        (OBSERVATION | {"code": {"text": "fall"}}, None),
        ({"resourceType": "Condition"}, None),
    ],
)  # fmt: skip
def test_of_fhir_only_what_says_that_something_happened_is_a_report(
    tmp_path: Path, resource: dict[str, Any], expected: Report | None
) -> None:
    death = {"resourceType": "Patient", "id": "p9", "deceasedDateTime": "2026-01-01"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}, {"resource": death}]}
    for content in ([resource, death], bundle):
        found = read_file(file(tmp_path, content), observations=FALL)
        assert found.source == "fhir"
        assert found.reports[:-1] == ([expected] if expected else [])
        assert found.skipped == (0 if expected else 1)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("o.csv", "prediction,result\nx,yes\n", "line 1: the columns of a CSV file of outcomes are prediction"),
        ("o.csv", "prediction,outcome\nx\n", "line 2: it has not as many columns"),
        ("o.csv", "prediction,outcome\nx,perhaps\n", "outcome has a value that it cannot have"),
        ("o.csv", "prediction,outcome,at\nx,yes,soon\n", "line 2: at is neither a day"),
        ("o.csv", "", "line 1: the columns"),
        ("o.csv", "prediction,outcome,outcome\nx,yes,no\n", "line 1: a column is there twice"),
        ("o.ndjson", '{"prediction": "x", "outcome": "yes", "outcome": "no"}\n', "or has a member twice"),
        ("o.csv", "prediction,outcome\n", "holds no outcome"),
        ("o.ndjson", '{"prediction": \n', "line 1: it is not JSON"),
        ("o.csv", 'prediction,outcome\n"x"y,yes\n', "o.csv cannot be read as CSV: ',' expected after '\"'"),
        ("o.ndjson", "[" * 100_000, "line 1: it is not JSON"),
        ("o.ndjson", '{"prediction": "x"}\n', "line 1: A report with prediction needs outcome"),
        ("o.ndjson", '{"resourceType": "Patient"}\n7\n', "line 2: it is no FHIR resource"),
        ("o.ndjson", '{"resourceType": "Patient"}\n', "holds no outcome"),
        ("o.ndjson", json.dumps(DECEASED | {"id": "Peter", "deceasedDateTime": "2026-03"}), "line 1: at is neither"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(WrongFile, match=words) as refused:
        read_file(file(tmp_path, text, name))
    assert "Peter" not in str(refused.value).removeprefix(str(tmp_path))


@given(st.binary(max_size=200), st.sampled_from(["o.csv", "o.ndjson", "o.json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_bytes_come_the_answer_is_a_sentence(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WrongFile):
        read_file(tmp_path / name)


BAND = AgeBandThreshold(40, None, 0.0, 0.5, 0.1, None, None)


def manifest(name: str = "falls", **members: Any) -> Any:
    """The part of a manifest that is read."""
    usual: dict[str, Any] = {
        "id": name, "outcome": ModelOutcome("y", "died", 2.0), "thresholds": None, "twin": None, "evaluation": {},
    }  # fmt: skip
    return SimpleNamespace(**usual | members)


def test_the_area_is_that_of_the_evaluation() -> None:
    evaluation = {"all": {"auroc": {"value": 0.8}}}
    assert label_of(manifest(evaluation=evaluation), 7, ThresholdsInForce()).area == 0.8
    others: list[dict[str, Any]] = [{}, {"all": {}}, {"all": {"auroc": {}}}, {"latest": {"auroc": {"value": 0.8}}}]
    for other in others:
        assert label_of(manifest(evaluation=other), 7, ThresholdsInForce()).area is None


def test_a_prediction_is_mature_after_its_horizon_and_the_lag() -> None:
    label = Label("falls", "death", 1.5, 0.25)
    assert (label.horizon, label.wait) == (129_600_000_000, 151_200_000_000)
    assert DAY == 86_400_000_000


def table(**more: Any) -> Thresholds:
    """Thresholds for a tenth and a fifth of the people."""
    rows = tuple(
        Threshold(capacity, 90, 0.0, probability, 0.1, 0.3, 0.4, 3.3, benefit)
        for capacity, probability, benefit in ((0.1, 0.27, 0.03), (0.2, 0.13, None))
    )
    return Thresholds(0.1, rows, **more)


TENTH, FIFTH = Deployed(0.27, 0.25, 0.03), Deployed(0.13, 0.25, None)


@for_rows(
    ("thresholds", "site", "usual"),
    [
        (table(), {}, TENTH),
        (table(alerts_per_event=3.0), {}, Deployed(0.27, 0.5, 0.03)),
        (table(), {"alert_share": "0.2"}, FIFTH),
        (table(), {"alert_share": "falls=0.2"}, FIFTH),
        (table(), {"alert_share": "0.2,falls=0.1"}, TENTH),
        (table(), {"alert_share": "other=0.2"}, TENTH),
        (table(), {"alert_share": "0.15"}, None),
        (table(age_bands=(BAND,)), {}, TENTH),
        (table(age_bands=(BAND,)), {"alert_share": "age-band"}, None),
        (table(), {"alert_share": "age-band"}, TENTH),
        (table(age_bands=(BAND,)), {"alert_share": "age-band,falls=0.2"}, FIFTH),
        (None, {}, None),
    ],
)
def test_the_threshold_in_force_is_that_of_the_share(
    thresholds: Thresholds | None, site: dict[str, Any], usual: Deployed | None
) -> None:
    assert thresholds_in_force([manifest(thresholds=thresholds)], Settings(**site)) == {
        "falls": ThresholdsInForce(usual)
    }


def test_a_service_of_the_site_has_what_its_file_says(tmp_path: Path) -> None:
    files = {
        "a": 'id = "a"\nmodel = "falls"\nshare = 0.2', "b": 'id = "b"\nmodel = "falls"\nwithin_age_band = true',
        "c": 'id = "c"\nmodel = "falls"\nwithin_age_band = false', "d": 'id = "d"\nmodel = "other"\nshare = 0.2',
        "e": 'id = "e"\nmodel = "falls"', "f": 'id = 5',
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / f"{name}.service.toml").write_text(text)
    model = manifest(thresholds=table(age_bands=(BAND,)))
    by_age = thresholds_in_force([model], Settings(models_folder=tmp_path, alert_share="age-band"))["falls"]
    assert by_age == ThresholdsInForce(None, {"a": FIFTH, "b": None, "c": TENTH, "e": None})
    usual = thresholds_in_force([model], Settings(models_folder=tmp_path))["falls"]
    assert usual == ThresholdsInForce(TENTH, {"a": FIFTH, "b": None, "c": TENTH, "e": TENTH})
    assert (usual.at("a"), usual.at("b"), usual.at("elsewhere")) == (FIFTH, None, TENTH)
    assert labels_of([model], settings_with(label_lag_days=5))["falls"].lag_days == 5


def test_the_models_of_the_package_and_of_the_site_have_labels(tmp_path: Path) -> None:
    for name, content in (
        ("mine", b'{"id": "mine", "outcome": {"column": "y", "words": "fell", "horizon_years": 1, "event": "fall"}}'),
        ("mine@2", b'{"id": "other", "outcome": {"column": "y", "words": "fell", "horizon_years": 1}}'),
        ("broken", b"{"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_bytes(content)
    labels = site_labels(settings_with(models_folder=tmp_path, label_lag_days=4))
    shipped = {"mortality_5y", "mortality_5y_small", "readmission_30d", "readmission_30d_early"}
    assert set(labels) == {*shipped, "mine"}
    assert labels["mine"] == Label("mine", "fall", 365.25, 4)
    assert set(site_labels(Settings())) == shipped
