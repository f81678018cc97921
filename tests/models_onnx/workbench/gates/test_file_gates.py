"""G1 safe file, G2 dictionary, G3 parity, G4 determinism, G5 latency, G16 reproducible, G17 contents: good and bad."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import (
    Answers,
    Audit,
    ComposedCard,
    Evidence,
    Retrained,
    Subject,
)
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


def test_g1_a_file_nobody_signed_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path)
    (bad.folder / "release.json").unlink()
    assert "never published" in judge(bad, "G1").why


def test_g1_a_file_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    def broken(proto: ModelProto) -> None:
        proto.graph.node[-1].op_type = "NoSuchOperator"

    result = judge(subject(tmp_path, model=broken), "G1")
    assert result.status == "failed"
    assert "could not be loaded and run" in result.why


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["features"][3].update(unit="mmol/L"), "is in mmol/L here and in"),
        (lambda d: d["features"][3].update(name="mystery"), "mystery is not a feature"),
        (lambda d: d["features"][3].update(trained_low=900.0), "has no range"),
        (lambda d: d["features"].reverse(), "another order"),
        (lambda d: d["features"].pop(), "values and"),
        (lambda d: d["features"][3].update(words="", fhir=""), "no words, unit or source"),
    ],
)
def test_g2_a_dictionary_that_does_not_fit_the_file_fails(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    result = judge(subject(tmp_path, manifest=change), "G2")
    assert result.status == "failed"
    assert said in result.why


def blind(proto: ModelProto) -> None:
    """The file no longer knows the lower ends of its ranges."""
    for tensor in proto.graph.initializer:
        if tensor.name == "low":
            tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, -np.inf, np.float32), "low"))


def test_g2_a_file_that_marks_nothing_as_out_of_range_fails(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, model=blind), "G2")
    assert "does not mark as out of range" in result.why


def again(good: Subject, shift: float = 0.0, **changed: Any) -> Retrained:
    """The same model trained again; with `shift`, one that says something else."""

    def answers(rows: NDArray[np.float32]) -> Answers:
        found = good.answers(rows)
        return Answers(found.probability + shift, None, None, None, None, None, found.link)

    facts = {"same_file": True, "same_data": True, "auroc_difference": 0.0, **changed}
    return Retrained(answers=answers, **facts)


def test_g4_a_model_that_looks_at_the_other_rows_fails(tmp_path: Path) -> None:
    def crowd(proto: ModelProto) -> None:
        add_to_probability(proto, helper.make_node("Div", ["plain", "most"], ["probability"]))
        most = helper.make_node("ReduceMax", ["plain"], ["most"], keepdims=1)
        proto.graph.node.insert(len(proto.graph.node) - 1, most)

    result = judge(subject(tmp_path, model=crowd), "G4")
    assert "in batches of 1 the probability differ" in result.why


def test_g16_is_not_run_without_the_table_and_passes_for_the_same_file(good: Subject) -> None:
    assert judge(good, "G16").status == "not run"
    assert judge(good, "G16", evidence(retrained=again(good))).status == "passed"
    close = again(good, same_file=False, auroc_difference=0.001)
    assert judge(good, "G16", evidence(retrained=close)).status == "passed"


def test_a_file_that_fails_g1_is_opened_by_no_other_gate(tmp_path: Path) -> None:
    bad = subject(tmp_path, model=lambda proto: setattr(proto.graph.node[0], "domain", "org.evil"))
    report = run_gates(bad, evidence())
    states = {result.gate: result for result in report.results}
    assert states["G1"].status == "failed"
    assert "org.evil" in states["G1"].why
    assert all(states[gate].status == "not run" for gate in ("G2", "G3", "G4", "G5", "G6", "G11", "G12", "G13"))


Document = dict[str, Any]


@pytest.fixture(scope="session")
def panel() -> Panel:
    """The published structure, simulated once."""
    return simulate(20_000)


# G10


def audit(panel: Panel, label: NDArray[np.float64]) -> Evidence:
    """Evidence for the audit of a model trained on that label of the simulated panel."""
    score = score_trained_on(panel, label)
    return evidence(
        audit=Audit(score=score, group=panel.group, need=panel.conditions, words="active chronic conditions")
    )


def test_g10_the_cost_label_model_of_the_published_structure_fails_and_says_why(good: Subject, panel: Panel) -> None:
    result = judge(good, "G10", audit(panel, panel.cost))
    assert result.status == "failed"
    assert "at an equal score, Black need 1.3" in result.why
    assert "active chronic conditions" in result.why


@pytest.mark.slow
def test_g10_the_condition_count_label_model_passes(good: Subject, panel: Panel) -> None:
    result = judge(good, "G10", audit(panel, panel.conditions))
    assert result.status == "passed", result.why


def test_g10_a_cost_label_that_nobody_audited_fails(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["label"].update(kind="cost"))
    assert "the label is cost" in judge(bad, "G10").why


# G11


def test_g11_a_panel_that_is_scored_although_it_leads_astray_fails(good: Subject) -> None:
    astray = {"value": 1.5, "low": 1.4, "high": 1.6}
    found = figured(lambda d: d["evaluation"]["panels"][0].update(observed_expected=astray))
    assert "it is still scored, and observed/expected is 1.50" in judge(good, "G11", found).why


# G12


def test_g12_the_committed_model_keeps_out_whom_it_is_not_for(good: Subject) -> None:
    result = judge(good, "G12")
    assert result.status == "passed", result.why


# G13


def card(**changes: Any) -> ComposedCard:
    """A card that breaks no rule, changed."""
    good = ComposedCard(
        summary="Death within 5 years: about 61 in 100 (higher than 98 in 100 of US adults). Consider planning ahead.",
        detail=(
            "**About 61 in 100** people like this died; 39 did not. Of 134 people, 56 to 72 in 100 did.\n"
            "- **Raises the estimate**\n  - ▲▲▲ raises a lot: Age **78**\n"
            "For planning, not for emergencies. These are associations, not causes. [How this works](https://a.example/m)"
        ),
        indicator="info",
        options=("Order a planning conversation", "Not now"),
        links=("https://a.example/e",),
        missing=(),
        margin=0.5,
        base=-1.0,
        contributions=(1.5,),
    )
    return replace(good, **changes)


def composed(some: ComposedCard) -> Evidence:
    """Evidence in which every patient gets this card."""

    def compose(rows: NDArray[np.float64]) -> Sequence[ComposedCard]:
        return [some] * len(rows)

    return evidence(cards=compose)


def test_g13_a_card_in_the_words_of_the_rules_passes_on_200_patients(good: Subject) -> None:
    result = judge(good, "G13", composed(card()))
    assert result.status == "passed", result.why
    assert result.figures["cards"] == 200


def test_g13_a_card_that_gives_orders_fails_and_is_quoted(good: Subject) -> None:
    result = judge(
        good, "G13", composed(card(summary="Death within 5 years: 61 in 100. Stop metformin. Start hospice."))
    )
    assert result.status == "failed"
    assert "it directs instead of offering: 'Stop'" in result.why
    assert "200 of 200 cards" in result.why


# G14, G15


def test_g14_the_committed_card_is_whole_and_in_the_file(good: Subject) -> None:
    assert judge(good, "G14").status == "passed", judge(good, "G14").why


def test_g14_a_blank_attribute_fails_by_number_and_name(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["purpose"]["users"].update(words="TBD"))
    result = judge(bad, "G14")
    assert result.status == "failed"
    assert "attribute 7 (B)(2)(iii) purpose.users (Intended users) is blank" in result.why


def test_g14_risks_reviewed_more_than_a_year_ago_fail(tmp_path: Path) -> None:
    bad = subject(tmp_path, card=lambda d: d["product"]["irm"].update(reviewed="2025-01-01"))
    assert "last reviewed on 2025-01-01" in judge(bad, "G14").why


def test_g14_a_card_that_says_other_figures_than_the_manifest_fails(tmp_path: Path) -> None:
    def boast(document: Document) -> None:
        document["performance"]["internal_validity"]["words"] = "AUROC 0.99 on everybody."

    result = judge(subject(tmp_path, card=boast), "G14")
    assert result.status == "failed"
    assert "does not say what the manifest gives: performance.internal_validity" in result.why
