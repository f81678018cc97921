"""The gates that read figures: each passes for the committed model, and fails for one made bad, and says why."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import ModelProto, helper, numpy_helper

from models_onnx.artifact.manifest import Manifest
from models_onnx.workbench.gates.evidence import why_no_audit
from models_onnx.workbench.gates.run import GATES
from models_onnx.workbench.gates.subject import InputEvidence, Paired, Retrained, Subject
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.data.leaks import Suspicion
from models_onnx.workbench.training.pipeline import differences
from tests.models_onnx.invented import INVENTED, invented_table
from tests.models_onnx.workbench.gates.judging import Document, groups, judge, no_waivers
from tests.models_onnx.workbench.gates.test_file_gates import rename_output
from tests.models_onnx.workshop import evidence, figured, good_manifest, subject


def block(document: Document, name: str) -> Document:
    """A block of the stored evaluation."""
    found: Document = document["evaluation"][name]
    return found


def test_contributions_that_do_not_add_up_fail(tmp_path: Path) -> None:
    def inflated(proto: ModelProto) -> None:
        rename_output(proto, "contributions", "true_contributions")
        for node in proto.graph.node:
            node.input[:] = ["true_contributions" if name == "contributions" else name for name in node.input]
        proto.graph.initializer.append(numpy_helper.from_array(np.array(1.01), "inflation"))
        proto.graph.node.append(helper.make_node("Mul", ["true_contributions", "inflation"], ["contributions"]))

    result = judge(subject(tmp_path, model=inflated), "explanation")
    assert result.status == "failed"
    assert "do not add up to its margin" in result.why


def test_edited_figures_in_the_manifest_change_no_verdict_and_are_found(tmp_path: Path) -> None:
    def edited(document: Document) -> None:
        for group in groups(document, "sex"):
            group["sensitivity"] = {"value": 0.5, "low": 0.48, "high": 0.52}

    bad = subject(tmp_path, manifest=edited, card=no_waivers)
    assert "sensitivity of female" in judge(bad, "fairness", figured()).why
    assert bad.manifest is not None
    trained = msgspec.convert(good_manifest(), Manifest)
    found = differences(bad.manifest, trained)
    assert any("subgroups[female].sensitivity.value is 0.5" in each for each in found)
    again = Retrained(
        same_file=True, same_data=True, auroc_difference=0.0, answers=bad.answers, differences=tuple(found)
    )
    result = judge(bad, "parity", evidence(retrained=again))
    assert result.status == "failed"
    assert "does not say what training gives" in result.why


def test_alerts_of_whom_hardly_anyone_has_the_outcome_fail(good: Subject) -> None:
    rare = figured(lambda d: block(d, "all").update(ppv={"value": 0.1, "low": 0.08, "high": 0.12}))
    assert "of its alerts 10 in 100 have the outcome" in judge(good, "discrimination", rare).why


def test_what_may_know_the_outcome_is_a_question_that_a_person_answers(tmp_path: Path) -> None:
    asked, shown = Suspicion("creatinine_mg_dl tells much", ("creatinine_mg_dl",)), "it is read from the outcome"
    by_a_person = {"creatinine_mg_dl": {"why": "Measured at admission.", "by": "A. Name"}}
    answered = subject(tmp_path / "answered", card=lambda d: d["product"].update(answers=by_a_person))
    for of, leaks, is_of_record, status in (
        (subject(tmp_path / "open"), (asked,), False, "insufficient"),
        (answered, (asked,), False, "passed"),
        (subject(tmp_path / "renewal"), (asked,), True, "passed"),  # written down at a call, before the outcome
        (answered, (asked, shown), True, "failed"),
    ):
        inputs = InputEvidence(leaks=leaks, is_of_record=is_of_record)
        assert judge(of, "discrimination", figured(inputs=inputs)).status == status


@pytest.mark.parametrize(
    ("need", "is_refused"),
    [
        (lambda rows: rows["death"], True),
        (lambda rows: rows["death"] * (1000 + rows["age_years"]), True),
        (lambda rows: rows["bun_mg_dl"], False),
    ],
    ids=["the label", "its cost", "another"],
)
def test_a_label_is_not_compared_with_what_is_made_of_it(need: Any, is_refused: bool) -> None:
    rows = invented_table()
    rows = rows[rows["cycle_start"] <= 2013]
    cohort = build_cohort(INVENTED, rows.assign(need=need(rows)))
    told = why_no_audit({"need": "need", "axis": "sex"}, INVENTED, cohort)
    assert ("is the label itself" in told) is is_refused, told


def test_the_honest_interval_of_a_small_site_is_insufficient_and_says_how_many_people_it_takes(
    good: Subject,
) -> None:
    small = {"n": 800, "events": 80, "observed_expected": {"value": 1.0, "low": 0.8, "high": 1.25}}
    result = judge(good, "calibration", figured(lambda d: block(d, "latest").update(small)))
    assert (result.status, result.green) == ("insufficient", False)
    # The interval is ln(1.25) wide to each side and may be ln(1.1): (0.2231 / 0.0953)^2 = 5.48 times the people.
    assert "About 4,386 people would be needed for a verdict; there are 800 with 80 events" in result.why


def paired(noise: float) -> Paired:
    """The same 3,000 people by the version in use and by one that sees them through so much noise."""
    draw = np.random.default_rng(5)
    truth = draw.normal(-2, 1.2, 3000)
    y = (draw.random(3000) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    return Paired(margin=truth + draw.normal(0, noise, 3000), active_margin=truth, y=y, threshold=-1.0)


def test_a_version_as_good_passes_and_a_worse_one_fails(good: Subject) -> None:
    assert judge(good, "not-worse", evidence(active=good, paired=paired(0.0))).status == "passed"
    worse = judge(good, "not-worse", evidence(active=good, paired=paired(2.0)))
    assert worse.status == "failed"
    assert "cannot be ruled out" in worse.why
    assert "net benefit" in worse.why


# The committed model passes by a waiver that ends, and a model made unfair on purpose fails, and says why.
def test_the_committed_model_passes_by_a_waiver_that_ends(good: Subject) -> None:
    result = judge(good, "fairness", figured())
    assert result.status == "waived", result.why
    assert result.waiver is not None
    later = replace(figured(), as_of=date.fromisoformat(result.waiver["expires"]))
    assert judge(good, "fairness", later).status == "failed"


def test_a_group_with_too_few_events_is_insufficient_and_neither_clears_nor_accuses(tmp_path: Path) -> None:
    def few(document: Document) -> None:
        for group in document["evaluation"]["subgroups"]:
            group["events"] = 12
            group.get("latest", group)["events"] = 12

    result = judge(subject(tmp_path, card=no_waivers), "fairness", figured(few))
    assert result.status == "insufficient"
    assert not result.green


@pytest.mark.parametrize(
    "axes",
    [{"sex": "none"}, {"sex": "calibration"}, {"race and ethnicity (fairness only)": "none"}, {"age band": "none"}],
)
def test_a_card_cannot_ask_less_of_sex_race_or_age(tmp_path: Path, axes: Document) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["fairness_axes"].update(axes))
    assert "asks too little of it" in judge(bad, "fairness", figured()).why
    (axis,) = axes
    gone = subject(tmp_path / "gone", card=lambda d: d["product"]["fairness_axes"].pop(axis))
    result = judge(gone, "fairness", figured())
    assert result.status == "failed"
    assert f"{axis}: there are figures and the card does not name it" in result.why


def test_a_group_smuggled_in_as_an_input_fails_and_no_waiver_covers_it(good: Subject) -> None:
    smuggled = InputEvidence(smuggled=("takes_statin is read from race_ethnicity",), unnamed=("race",))
    result = judge(good, "fairness", figured(inputs=smuggled))
    assert result.status == "failed"
    assert "takes_statin is read from race_ethnicity: a group is used as an input under another name" in result.why
    assert "race: the table has this column and there are no figures by it" in result.why


def test_a_waiver_that_two_people_have_not_approved_does_not_help(good: Subject) -> None:
    result = judge(good, "fairness", figured(waiver_fault=lambda _: "it lacks an approval"))
    assert result.status == "failed"
    assert "its waiver does not count: it lacks an approval" in result.why


def test_no_gate_but_fairness_can_be_waived(tmp_path: Path) -> None:
    def waive_everything(card: Document) -> None:
        waiver = card["product"]["waivers"][0]
        card["product"]["waivers"] = [{**waiver, "gate": gate.id, "covers": [""]} for gate in GATES]

    bad = subject(tmp_path, card=waive_everything)
    poor = figured(lambda d: block(d, "all").update(auroc={"value": 0.58, "low": 0.56, "high": 0.6}))
    assert judge(bad, "discrimination", poor).status == "failed"
