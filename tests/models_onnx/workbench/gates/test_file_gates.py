"""G1 safe file, G2 dictionary, G3 parity, G4 determinism, G5 latency, G16 reproducible, G17 contents: good and bad."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import Answers, Retrained, Subject
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workshop import evidence, subject


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


def test_g3_a_stored_difference_above_the_limit_fails(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, manifest=lambda d: d["parity"].update(probability=1e-3)), "G3")
    assert result.status == "failed"
    assert "differ from the library by 1.0e-03" in result.why


def test_g3_too_few_rows_or_none_with_missing_values_fail(tmp_path: Path) -> None:
    few = lambda d: d["parity"].update(rows=999)  # noqa: E731 - an edit, handed on
    assert "999 rows" in judge(subject(tmp_path, manifest=few), "G3").why


def test_g3_without_any_comparison_is_not_run_and_red(tmp_path: Path) -> None:
    result = judge(subject(tmp_path, manifest=lambda d: d.update(parity={})), "G3")
    assert result.status == "not run"
    assert not result.green


def again(good: Subject, shift: float = 0.0, **changed: Any) -> Retrained:
    """The same model trained again; with `shift`, one that says something else."""

    def answers(rows: NDArray[np.float32]) -> Answers:
        found = good.answers(rows)
        return Answers(found.probability + shift, None, None, None, None, None, found.link)

    facts = {"same_file": True, "same_data": True, "auroc_difference": 0.0, **changed}
    return Retrained(answers=answers, **facts)


def test_g3_is_measured_against_the_model_trained_again_where_there_is_one(good: Subject) -> None:
    right = judge(good, "G3", evidence(retrained=again(good)))
    assert right.status == "passed"
    assert right.figures["rows"] >= 1000
    wrong = judge(good, "G3", evidence(retrained=again(good, 1e-4)))
    assert wrong.status == "failed"
    assert "differs by 1.0e-04" in wrong.why


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


def test_g17_a_library_under_a_licence_that_is_kept_out_fails(good: Subject) -> None:
    result = judge(good, "G17", evidence(installed=lambda _: ("0.28", "GPL-3.0-or-later")))
    assert "kept out" in result.why


def test_a_file_that_fails_g1_is_opened_by_no_other_gate(tmp_path: Path) -> None:
    bad = subject(tmp_path, model=lambda proto: setattr(proto.graph.node[0], "domain", "org.evil"))
    report = run_gates(bad, evidence())
    states = {result.gate: result for result in report.results}
    assert states["G1"].status == "failed"
    assert "org.evil" in states["G1"].why
    assert all(states[gate].status == "not run" for gate in ("G2", "G3", "G4", "G5", "G6", "G11", "G12", "G13"))
