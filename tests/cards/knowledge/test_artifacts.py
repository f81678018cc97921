"""The sample artifact of the project: checked, refused in each broken form, and applied to patients."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cards.knowledge.apply import SILENCES, Outcome, apply
from cards.knowledge.artifact import Artifact, check_folder
from cards.knowledge.measure import gaps_in_care
from tests.conftest import ROOT
from tests.each import for_rows

SAMPLE = ROOT / "data" / "samples" / "knowledge"
BROKEN = json.loads((Path(__file__).parent / "broken.json").read_text(encoding="utf-8"))
NOW = "2026-11-28T10:00:00+00:00"
_CODES = "https://example.org/knowledge/CodeSystem/sample-codes"

PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1970-05-01"}
CONDITION = {
    "resourceType": "Condition",
    "id": "c1",
    "code": {"coding": [{"system": _CODES, "code": "sample-condition"}]},
    "subject": {"reference": "Patient/p1"},
}
RESULT = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": _CODES, "code": "sample-test"}]},
    "effectiveDateTime": "2026-05-01T10:00:00Z",
}


def _sample(kind: str) -> Artifact:
    artifacts, refused, faults = check_folder(SAMPLE)
    assert not refused
    assert not faults
    return next(artifact for artifact in artifacts if artifact.kind == kind)


def _outcome(resources: list[dict[str, Any]], *unknown: str) -> Outcome:
    (outcome,) = apply(_sample("PlanDefinition"), resources, NOW, hook="patient-view", unknown=unknown)
    return outcome


def test_a_true_condition_is_advice_with_its_source_grade_order_and_override_reasons() -> None:
    outcome = _outcome([PATIENT, CONDITION])
    card = outcome.card
    assert card is not None
    assert (card.summary, card.indicator) == ("The sample test is due", "warning")
    assert card.detail is not None
    assert card.detail.startswith("No result of the sample test was found in the last year.")
    assert "Strong" in card.detail
    assert "Moderate quality" in card.detail
    assert (card.source.label, card.source.url) == ("Example guideline", "https://example.org/guideline")
    (suggestion,) = card.suggestions
    resource = suggestion.actions[0].resource or {}
    assert (resource["resourceType"], resource["subject"]) == ("ServiceRequest", {"reference": "Patient/p1"})
    assert [reason.display for reason in card.override_reasons] == ["Done elsewhere"]
    resources = {value.name.partition(".")[2]: value.resources for value in outcome.conditions}
    assert resources["Has Condition"] == ("Condition/c1",)


@for_rows(
    ("resources", "unknown", "state", "says"),
    [
        ([PATIENT, CONDITION, RESULT], (), "false", "'Test Is Due' is false"),
        ([{"resourceType": "Patient", "id": "p1"}, CONDITION], (), "null", "'Is Adult'"),
        ([PATIENT], ("Condition",), "unknown", "Condition resources, which are not known"),
        ([PATIENT, PATIENT, CONDITION], (), "failed", "could not be evaluated"),
    ],
)
def test_each_silence_has_its_own_reason(
    resources: list[dict[str, Any]], unknown: tuple[str, ...], state: str, says: str
) -> None:
    outcome = _outcome(resources, *unknown)
    assert outcome.card is None
    assert outcome.state == state
    assert outcome.state in SILENCES
    assert says in outcome.reason


def test_a_type_of_resources_that_is_not_known_never_counts_as_empty() -> None:
    for kind in _sample("PlanDefinition").reads:
        known = [one for one in (PATIENT, CONDITION) if one["resourceType"] != kind]
        assert _outcome(known, kind).state == "unknown"


@for_rows(
    ("resources", "unknown", "state"),
    [
        ([PATIENT, CONDITION], (), "open"),
        ([PATIENT, CONDITION, RESULT], (), "closed"),
        ([PATIENT], (), "not eligible"),
        ([PATIENT, CONDITION], ("Observation",), "unknown"),
        ([PATIENT, PATIENT, CONDITION], (), "failed"),
    ],
)
def test_a_measure_leaves_a_gap_in_care_or_says_why_it_leaves_none(
    resources: list[dict[str, Any]], unknown: tuple[str, ...], state: str
) -> None:
    period = {"start": "2026-01-01", "end": "2026-12-31"}
    (gap,) = gaps_in_care(_sample("Measure"), resources, period, NOW, unknown)
    assert gap.state == state
    assert gap.text


def _change(folder: Path, file: str, at: list[Any], value: Any) -> None:
    path = next(folder.glob(f"{file}-*.json"))
    resource = json.loads(path.read_text(encoding="utf-8"))
    elm = json.loads(base64.b64decode(resource["content"][1]["data"])) if file == "Library" else None
    holder: Any = elm if at[0] == "elm" else resource
    steps = at[1:] if at[0] == "elm" else at
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    if at[0] == "elm":
        resource["content"][1]["data"] = base64.b64encode(json.dumps(elm).encode()).decode()
    path.write_text(json.dumps(resource), encoding="utf-8")


@pytest.mark.parametrize("row", BROKEN, ids=[row["name"] for row in BROKEN])
def test_a_broken_artifact_is_refused_with_the_file_and_the_reason(row: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "knowledge"))
    _change(folder, row["file"], row["at"], row["value"])
    if "and_at" in row:
        _change(folder, row["file"], row["and_at"], row["and_value"])
    artifacts, refused, _ = check_folder(folder)
    assert all(artifact.kind != "PlanDefinition" for artifact in artifacts)
    (plan,) = [one for one in refused if one.id == "sample-test-due"]
    assert any(row["says"] in fault.reason for fault in plan.faults), plan.faults
    assert all((folder / fault.file).is_file() for fault in plan.faults)


@for_rows(("file", "at", "value"))
def test_a_change_of_anything_that_decides_is_another_version(
    file: str, at: list[Any], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path_factory.mktemp("changed") / "knowledge"))
    _change(folder, file, at, value)
    artifacts, _, _ = check_folder(folder)
    (plan,) = [artifact for artifact in artifacts if artifact.kind == "PlanDefinition"]
    assert plan.sha256 != _sample("PlanDefinition").sha256


def test_a_value_set_of_the_site_counts_before_the_published_one_and_says_how_it_differs(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "plan")
    value_set = json.loads((SAMPLE / "ValueSet-sample-condition.json").read_text(encoding="utf-8"))
    value_set["expansion"]["contains"] = [{"system": _CODES, "code": "code-of-the-site"}]
    value_set["version"] = "9"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "set.json").write_text(json.dumps(value_set), encoding="utf-8")
    (tmp_path / "plan" / "knowledge.toml").write_text('value_sets = "../site"\n', encoding="utf-8")

    artifacts, refused, faults = check_folder(tmp_path / "plan")
    assert (refused, faults) == ([], [])
    plan = next(artifact for artifact in artifacts if artifact.kind == "PlanDefinition")
    assert [difference.partition(": ")[2] for difference in plan.differences] == [
        "the site's value set has 1 codes more and 1 fewer."
    ]
    assert plan.sha256 != _sample("PlanDefinition").sha256
    of_site = {**CONDITION, "code": {"coding": [{"system": _CODES, "code": "code-of-the-site"}]}}
    states = [apply(plan, [PATIENT, each], NOW, hook="patient-view")[0].card for each in (of_site, CONDITION)]
    assert [card is not None for card in states] == [True, False]

    (tmp_path / "plan" / "knowledge.toml").write_text('value_sets = "../nowhere"\n', encoding="utf-8")
    _, _, faults = check_folder(tmp_path / "plan")
    assert ["nowhere" in str(fault) for fault in faults] == [True]
