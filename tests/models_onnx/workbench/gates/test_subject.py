"""The candidate in its folder: its file run as it is wired, what its manifest and card say, and what is not there."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models_onnx.errors import ManifestRefused, UnsafeModel
from models_onnx.workbench.gates.checks.inputs import check_dictionary
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.subject import Runner, Subject, read_subject
from tests.models_onnx.workbench.gates.formula import INPUTS, NOTHING, item
from tests.models_onnx.workshop import KEYS, build, good_card, good_manifest

ROWS = np.array([[0.5, 0.25], [1.0, 0.0]], dtype=np.float32)


def _file(
    *nodes: NodeProto, outputs: tuple[str, ...] = ("probability",), width: Any = 2, kind: int = TensorProto.FLOAT,
    rank: int = 2, feed: str = "features", **metadata: str,
) -> bytes:  # fmt: skip
    """A file of these nodes; `zero` and `three` are constants of it."""
    shape = ["N", width, 1][:rank]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(feed, kind, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [
            numpy_helper.from_array(np.array([[value]], np.float32), name)
            for name, value in (("zero", 0.0), ("one", 1.0))
        ]
        + [numpy_helper.from_array(np.array([3], np.int64), "three")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    return content


def _same(output: str, feed: str = "features") -> NodeProto:
    return helper.make_node("Identity", [feed], [output])


def _subject(content: bytes, features: Any = INPUTS, **card: Any) -> Subject:
    manifest: Any = SimpleNamespace(features=features, groups=msgspec.UNSET)
    return Subject(folder=Path("nowhere"), keys={}, content=content, manifest=manifest, card=card)


def test_a_file_that_explains_nothing_gives_its_probability() -> None:
    nodes = [helper.make_node("ReduceMax", ["features", "row"], ["probability"], keepdims=1)]
    row = helper.make_node("Constant", [], ["row"], value=numpy_helper.from_array(np.array([1])))
    answers = Runner(_file(row, *nodes)).answers(ROWS)
    assert answers.probability.tolist() == [0.5, 1.0]
    assert (answers.margin, answers.contributions, answers.missing, answers.out_of_range) == (None,) * 4
    assert (answers.base, answers.link, answers.explains) == (None, "logit", False)


def _marked(output: str) -> NodeProto:
    return helper.make_node("Greater", ["features", "zero"], [output])


@pytest.mark.parametrize(("base", "value"), [("2", 2.0), ("-0.5", -0.5), ("much", None)])
def test_a_base_is_a_number_or_none(base: str, value: float | None) -> None:
    assert Runner(_file(_same("probability"), base=base)).answers(ROWS).base == value


def test_a_file_that_cannot_be_run_says_on_which_rows() -> None:
    runner = Runner(_file(helper.make_node("Reshape", ["features", "three"], ["probability"])))
    with pytest.raises(UnsafeModel, match=r"^the model cannot be run on \(2, 2\) values: ") as refused:
        runner.answers(ROWS)
    assert len(str(refused.value)) <= len("the model cannot be run on (2, 2) values: ") + 160


# The folder


def test_a_candidate_is_what_lies_in_its_folder(tmp_path: Path) -> None:
    home = build(tmp_path)
    subject = read_subject(home, KEYS)
    assert (subject.id, subject.groups) == ("mortality_5y", ())
    assert [item.name for item in subject.features] == [item["name"] for item in good_manifest()["features"]]
    assert subject.manifest.evaluation == good_manifest()["evaluation"]
    assert subject.manifest.parity == good_manifest()["parity"]
    assert subject.product == good_card()["product"]
    assert subject.content == (home / "model.onnx").read_bytes()
    assert subject.always == frozenset(good_manifest()["required"]["always"])
    (home / "release.json").unlink()
    (home / "card.json").write_text('["no object"]')
    unsigned = read_subject(home, KEYS)
    assert (unsigned.card, unsigned.product) == ({}, {})
    for content in (b"{", b"\xff\xff"):
        (home / "card.json").write_bytes(content)
        assert read_subject(home, KEYS).card == {}
    (home / "card.json").unlink()
    assert read_subject(home, KEYS).card == {}
    (home / "model.onnx").unlink()
    with pytest.raises(ManifestRefused, match=r"^mortality_5y contains no model that the gates can examine: "):
        read_subject(home, KEYS)


def test_a_folder_without_a_manifest_of_ours_is_no_candidate(tmp_path: Path) -> None:
    assert _subject(b"", product=["x"]).product == {}
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ManifestRefused, match=f"^{tmp_path.name} contains no model"):
        read_subject(tmp_path, KEYS)


def test_a_file_says_of_itself_what_its_metadata_hold() -> None:
    subject = _subject(_file(_same("probability"), coalitions="16"), INPUTS[:2])
    assert subject.metadata["coalitions"] == "16"
    assert subject.groups == ()


# G2: inputs in the file and in the manifest


AGE = item("age_years", 20.0, 90.0, 55.0)
SODIUM = item("stay_sodium_mmol_l", 120.0, 160.0, 140.0, "mmol/L")


def _dictionary(content: bytes, features: Any = (AGE, SODIUM)) -> Verdict:
    return check_dictionary(_subject(content, features), NOTHING)


SENTENCE = "2 inputs, in the file's order, each with unit, source and trained range."
ROWS_OF_TWO = [
    {"input": "age_years", "unit": "a", "low": 20.0, "high": 90.0, "from": "Observation"},
    {"input": "stay_sodium_mmol_l", "unit": "mmol/L", "low": 120.0, "high": 160.0, "from": "Observation"},
]


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (_file(_same("probability")), ()),
        (_file(_same("probability"), width="F"), ()),
        (_file(_same("probability"), width=3), ("the file takes 3 values and 2 inputs are described",)),
        (
            _file(_same("probability", "rows"), feed="rows"),
            ("the file has no input 'features'; it has rows",),
        ),
        (
            _file(_same("probability"), kind=TensorProto.DOUBLE),
            ("features is tensor(double) ['N', 2]; it must be float32 rows",),
        ),
        (
            _file(_same("probability"), rank=3),
            ("features is tensor(float) ['N', 2, 1]; it must be float32 rows",),
        ),
        (
            _file(_same("risk"), _same("class"), outputs=("risk", "class")),
            ("the file has no output 'probability'; it has class, risk",),
        ),
        (
            _file(_same("probability"), features='["stay_sodium_mmol_l", "age_years"]'),
            ("the file names its inputs in another order than the manifest",),
        ),
        (
            _file(_same("probability"), _marked("missing"), outputs=("probability", "missing")),
            ("the file does not mark the missing input as missing",),
        ),
    ],
)
def test_the_inputs_of_the_file_are_those_that_are_described(content: bytes, faults: tuple[str, ...]) -> None:
    assert _dictionary(content) == Verdict(SENTENCE, faults, rows=ROWS_OF_TWO)


def test_an_input_is_described_once() -> None:
    twice = _dictionary(_file(_same("probability")), features=(AGE, AGE))
    assert twice.faults == ("an input is described twice",)
    # marks are tried only where names and shapes hold
    content = _file(_same("probability"), _marked("missing"), outputs=("probability", "missing"), width=3)
    assert _dictionary(content).faults == ("the file takes 3 values and 2 inputs are described",)
