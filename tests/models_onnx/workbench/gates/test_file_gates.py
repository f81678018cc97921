"""The gates file, parity, speed, missing-data and the audit of the label: good models and bad ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import Audit, Evidence, Retrained, Subject
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workbench.gates.obermeyer import Panel, score_trained_on, simulate
from tests.models_onnx.workshop import evidence, figured, subject


def rename_output(proto: ModelProto, old: str, new: str) -> None:
    """What made `old` now makes `new`; the caller adds what makes `old` again."""
    for node in proto.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]


def add_to_probability(proto: ModelProto, node: Any, *constants: TensorProto) -> None:
    """Puts a node between the probability and the output of that name."""
    rename_output(proto, "probability", "plain")
    proto.graph.initializer.extend(constants)
    proto.graph.node.append(node)


def test_a_file_nobody_signed_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path)
    (bad.folder / "release.json").unlink()
    assert "never published" in judge(bad, "file").why


def test_a_file_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    def broken(proto: ModelProto) -> None:
        proto.graph.node[-1].op_type = "NoSuchOperator"

    result = judge(subject(tmp_path, model=broken), "file")
    assert result.status == "failed"
    assert "could not be loaded and run" in result.why


def described(proto: ModelProto, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Changes what the file itself says of its inputs."""
    entry = next(entry for entry in proto.metadata_props if entry.key == "feature_dictionary")
    features = json.loads(entry.value)
    change(features)
    entry.value = json.dumps(features)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda features: features[3].update(unit="mmol/L"), "is in mmol/L here and in"),
        (lambda features: features[3].update(name="mystery"), "mystery is not a feature"),
        (lambda features: features[3].update(trained_low=900.0), "has no range"),
    ],
)
def test_inputs_that_no_record_fills_fail(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], object], said: str
) -> None:
    bad = subject(tmp_path, manifest=lambda d: change(d["features"]), model=lambda proto: described(proto, change))
    result = judge(bad, "file")
    assert result.status == "failed"
    assert said in result.why


def test_a_manifest_that_does_not_fit_the_file_fails(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, manifest=lambda d: d["features"].reverse()), "file")
    assert "disagree about features" in result.why


def blind(proto: ModelProto) -> None:
    """The file no longer knows the lower ends of its ranges."""
    for tensor in proto.graph.initializer:
        if tensor.name == "low":
            tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, -np.inf, np.float32), "low"))


def again(good: Subject, **changed: Any) -> Retrained:
    """The same model trained again."""
    facts = {"same_file": True, "same_data": True, "auroc_difference": 0.0, **changed}
    return Retrained(answers=good.answers, **facts)


@pytest.mark.slow
def test_a_model_that_looks_at_the_other_rows_fails(tmp_path: Path) -> None:
    def crowd(proto: ModelProto) -> None:
        add_to_probability(proto, helper.make_node("Div", ["plain", "most"], ["probability"]))
        most = helper.make_node("ReduceMax", ["plain"], ["most"], keepdims=1)
        proto.graph.node.insert(len(proto.graph.node) - 1, most)

    result = judge(subject(tmp_path, model=crowd), "speed")
    assert "in batches of 1 the probability differ" in result.why


def test_is_not_run_without_the_table_and_passes_for_the_same_file(good: Subject) -> None:
    assert judge(good, "parity").status == "not run"
    assert judge(good, "parity", evidence(retrained=again(good))).status == "passed"
    close = again(good, same_file=False, auroc_difference=0.001)
    assert judge(good, "parity", evidence(retrained=close)).status == "passed"


def test_a_file_that_marks_nothing_as_out_of_range_fails(good: Subject, tmp_path: Path) -> None:
    bad = subject(tmp_path, model=blind)
    result = judge(bad, "parity", evidence(retrained=again(good)))
    assert result.why == "it marks other inputs as out of range than the model trained again"


def test_contributions_of_another_model_fail_though_the_probability_is_right(good: Subject, tmp_path: Path) -> None:
    def swapped(proto: ModelProto) -> None:
        rename_output(proto, "contributions", "plain_contributions")
        for node in proto.graph.node:
            node.input[:] = ["plain_contributions" if name == "contributions" else name for name in node.input]
        order = numpy_helper.from_array(np.array([1, 0, *range(2, len(good.features))]), "order")
        proto.graph.initializer.append(order)
        proto.graph.node.append(helper.make_node("Gather", ["plain_contributions", "order"], ["contributions"], axis=1))

    bad = subject(tmp_path, model=swapped)
    assert judge(bad, "explanation").status == "passed"  # they add up
    assert "its contributions differ by" in judge(bad, "parity", evidence(retrained=again(good))).why


def test_a_file_that_fails_g1_is_opened_by_no_other_gate(tmp_path: Path) -> None:
    bad = subject(tmp_path, model=lambda proto: setattr(proto.graph.node[0], "domain", "org.evil"))
    report = run_gates(bad, evidence())
    states = {result.gate: result for result in report.results}
    assert states["file"].status == "failed"
    assert "org.evil" in states["file"].why
    assert all(states[gate].status == "not run" for gate in ("parity", "speed", "explanation", "missing-data"))


Document = dict[str, Any]


@pytest.fixture(scope="session")
def panel() -> Panel:
    """The published structure, simulated once."""
    return simulate(20_000)


def audit(panel: Panel, label: NDArray[np.float64]) -> Evidence:
    """Evidence for the audit of a model trained on that label of the simulated panel."""
    score = score_trained_on(panel, label)
    of_need = Audit(score=score, group=panel.group, need=panel.conditions, words="active chronic conditions")
    return figured(audits=(of_need,))


@pytest.mark.slow
def test_the_cost_label_model_of_the_published_structure_fails_and_says_why(good: Subject, panel: Panel) -> None:
    result = judge(good, "fairness", audit(panel, panel.cost))
    assert result.status == "failed"
    assert "at an equal score, Black need 1.3" in result.why
    assert "active chronic conditions" in result.why


@pytest.mark.slow
def test_the_condition_count_label_model_passes(good: Subject, panel: Panel) -> None:
    result = judge(good, "fairness", audit(panel, panel.conditions))
    assert result.status == "waived", result.why  # of its differences of error rates


def test_a_cost_label_that_nobody_audited_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["label"].update(kind="cost"))
    assert "the label is cost" in judge(bad, "fairness").why


def test_a_panel_that_is_scored_although_it_leads_astray_fails(good: Subject) -> None:
    astray = {"value": 1.5, "low": 1.4, "high": 1.6}
    found = figured(lambda d: d["evaluation"]["panels"][0].update(observed_expected=astray))
    assert "it is still scored, and observed/expected is 1.50" in judge(good, "missing-data", found).why


CHANGES: list[tuple[str, Any, str]] = [
    ("irm.for_professionals", False, "does not answer yes to: Do only health care professionals read its estimates"),
    ("irm.informs", False, "does not answer yes to: Does it inform a decision that a clinician makes"),
    ("irm.wording", False, "does not answer yes to: Do its cards give people in 100"),
    ("irm.reviewed", "2025-01-01", "last reviewed on 2025-01-01"),
    ("horizon_hours", 12.0, "it predicts the next 12 hours"),
    ("acting_window_hours", 6.0, "there are 6 hours to act"),
    ("time_critical", True, "it is time-critical"),
    ("output_type", "alarm", "its output is an alarm"),
    ("signals", ["ECG waveform"], "it takes signals, images or sequences: ECG waveform"),
    ("setting", "inpatient", "its population is inpatient"),
    ("clearance", "pending", "product.clearance"),
]


@pytest.mark.parametrize(("path", "value", "said"), CHANGES, ids=[row[0] for row in CHANGES])
def test_what_a_card_declares_against_its_use_on_cards_fails(tmp_path: Path, path: str, value: Any, said: str) -> None:
    def change(document: Document) -> None:
        *steps, last = path.split(".")
        part = document["product"]
        for step in steps:
            part = part[step]
        part[last] = value

    result = judge(subject(tmp_path, card=change), "file")
    assert result.status == "failed"
    assert said in result.why


def test_the_committed_card_is_whole_and_in_the_file(good: Subject) -> None:
    assert judge(good, "file").status == "passed", judge(good, "file").why


def test_a_blank_attribute_and_a_question_without_an_answer_fail_by_name(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["purpose"]["users"].update(words="TBD"))
    assert "Intended users (purpose.users, attribute 7, (B)(2)(iii)) is blank" in judge(bad, "file").why
    other_kind = subject(tmp_path / "other", card=lambda d: d.update(kind="evidence-based"))
    assert "the card is of the kind 'evidence-based'" in judge(other_kind, "file").why
    silent = subject(tmp_path / "silent", card=lambda d: d["product"]["irm"].pop("wording"))
    assert "product.irm.wording: Field required" in judge(silent, "file").why


def test_a_card_that_says_other_figures_than_the_manifest_fails(tmp_path: Path) -> None:
    def boast(document: Document) -> None:
        document["performance"]["internal_validity"]["words"] = "AUROC 0.99 on everybody."

    result = judge(subject(tmp_path, card=boast), "file")
    assert "does not say what the manifest gives: performance.internal_validity" in result.why
