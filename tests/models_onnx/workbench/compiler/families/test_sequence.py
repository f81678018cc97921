"""A network over series is explained exactly by its quantities, and refused where its series are others."""

import itertools
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models_onnx.errors import CompileRefused, ModelError
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.families.sequence import SequenceFile, SequenceModel
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.sequences import HIDDEN, gru

STEPS, COUNT = 5, 3
CENTRE, SPREAD = np.array([80.0, 120.0, 4.0]), np.array([15.0, 20.0, 0.5])
NAMES = tuple(f"{name}_{step}" for name in ("rate", "pressure", "albumin") for step in range(1, STEPS + 1))
READOUT = np.append(np.random.default_rng(3).normal(0, 1.5, HIDDEN), -1.0)


def series(count: int) -> np.ndarray:
    draw = np.random.default_rng(5)
    X = np.repeat(CENTRE, STEPS) + draw.normal(size=(count, STEPS * COUNT)) * np.repeat(SPREAD, STEPS)
    X[draw.random(X.shape) < 0.4] = np.nan
    X[0, :STEPS] = np.nan  # a quantity that was never measured
    return np.asarray(X.astype(np.float32), dtype=np.float64)


@pytest.fixture
def network(tmp_path: Path) -> SequenceFile:
    (tmp_path / "net.onnx").write_bytes(gru(STEPS, CENTRE, SPREAD, READOUT))
    return SequenceFile(tmp_path / "net.onnx", STEPS)


def risk(network: SequenceFile, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the network itself says of [n, F, T]."""
    session = onnxruntime.InferenceSession(network.path, providers=["CPUExecutionProvider"])
    tensors = {"series": values, "mask": mask}
    feed = {name: part.transpose(0, 2, 1).astype(np.float32) for name, part in tensors.items()}
    return np.asarray(session.run(None, feed)[0], dtype=np.float64)[:, 0]


def test_the_file_says_what_the_network_says_and_the_shapley_values_of_its_quantities(network: SequenceFile) -> None:
    X = series(60)
    compiled = compile_model(network, X, features=NAMES, name="net")
    told = says(compiled.content, X)
    recorded = ~np.isnan(X).reshape(-1, COUNT, STEPS)
    values = np.nan_to_num(X).reshape(-1, COUNT, STEPS)
    assert np.abs(told["probability"] - risk(network, values, recorded * 1.0)).max() < 1e-6
    mean = np.nanmean(X, axis=0).reshape(COUNT, STEPS)

    def odds(row: int, subset: tuple[int, ...]) -> float:
        chosen = np.isin(np.arange(COUNT), subset)[:, None]
        mixed, mask = np.where(chosen, values[row], mean), np.where(chosen, recorded[row], True)
        share = risk(network, mixed[None], mask[None] * 1.0)[0]
        return math.log(share / (1 - share))

    for row in (0, 1, 2):
        expected = np.zeros(COUNT)
        for order in itertools.permutations(range(COUNT)):
            for position, quantity in enumerate(order):
                joined = odds(row, order[: position + 1]) - odds(row, order[:position])
                expected[quantity] += joined / math.factorial(COUNT)
        own = told["contributions"][row].reshape(COUNT, STEPS)
        assert np.abs(own.sum(axis=1) - expected).max() < 1e-5
        newest = [np.flatnonzero(steps)[-1] if steps.any() else STEPS - 1 for steps in recorded[row]]
        assert [np.flatnonzero(steps).tolist() for steps in own] == [[step] for step in newest]


def test_a_row_has_the_same_bits_alone_and_in_a_batch(network: SequenceFile) -> None:
    X = series(40)
    content = compile_model(network, X, features=NAMES, name="net").content
    together = says(content, X)
    for row in range(5):
        alone = says(content, X[row : row + 1])
        assert all((alone[name][0] == together[name][row]).all() for name in ("probability", "margin", "contributions"))


def test_other_series_are_refused_with_what_is_needed(network: SequenceFile) -> None:
    X = series(40)
    with pytest.raises(CompileRefused, match=r"float32 \[N, 3, 5\].*a mask of the same shape"):
        SequenceModel.read(SequenceFile(network.path, 3), NAMES, X)
    with pytest.raises(CompileRefused, match="no whole series of 4 steps"):
        SequenceModel.read(SequenceFile(network.path, 4), NAMES, X)
    with pytest.raises(CompileRefused, match="more than 8 quantities"):
        SequenceModel.read(SequenceFile(network.path, 1), NAMES, X)
    network.path.write_bytes(gru(STEPS, CENTRE, SPREAD))
    with pytest.raises(CompileRefused, match="a probability of each row is needed"):
        SequenceModel.read(network, NAMES, X)


def test_a_network_that_does_not_load_or_gives_no_number_is_refused_by_a_sentence(network: SequenceFile) -> None:
    X, proto = series(40), onnx.load(network.path)
    proto.graph.node[0].input[0] = "nowhere"
    network.path.write_bytes(proto.SerializeToString())
    with pytest.raises(CompileRefused, match=r"net\.onnx cannot be loaded and run: .*nowhere"):
        SequenceModel.read(network, NAMES, X)
    network.path.write_bytes(gru(STEPS, CENTRE, SPREAD, READOUT * np.nan))
    with pytest.raises(CompileRefused, match="numbers outside 0 to 1"):
        SequenceModel.read(network, NAMES, X)


def _network(*nodes: onnx.NodeProto, opset: int = 17, mask: bool = True) -> bytes:
    """A network of these nodes over two steps of one quantity."""
    inputs = ("series", "mask") if mask else ("series",)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2, 1]) for name in inputs]
    graph = helper.make_graph(list(nodes), "g", values, [helper.make_empty_tensor_value_info("risk")])
    opsets = [helper.make_opsetid("", opset)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


SIGMOID = helper.make_node("Sigmoid", ["series"], ["share"])
BRANCH = helper.make_graph([SIGMOID], "branch", [], [helper.make_empty_tensor_value_info("share")])
OF_EACH_ROW = helper.make_node("ReduceMean", ["share"], ["risk"], axes=[1, 2], keepdims=0)


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"\x08\x08\xff", None),
        (
            _network(helper.make_node("Sigmoid", ["series"], ["risk"]), mask=False),
            "net.onnx gives something else ([2, 2, 1] for two rows); a probability of each row is needed",
        ),
        (
            _network(SIGMOID, helper.make_node("If", ["mask"], ["risk"], then_branch=BRANCH, else_branch=BRANCH)),
            "net.onnx has loops or branches (subgraphs), which are not compiled",
        ),
        (_network(SIGMOID, OF_EACH_ROW, opset=99), "net.onnx is of opset 99: export it with opset 18"),
    ],
)
def test_a_file_that_is_no_network_of_risks(content: bytes, refusal: str | None, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError) as refused:
        SequenceModel.read(SequenceFile(tmp_path / "net.onnx", 2), ("a_1", "a_2"), np.array([[0.0, 0.0], [1.0, 3.0]]))
    if refusal is not None:
        assert str(refused.value) == refusal


@pytest.mark.parametrize("opset", [17, 18])
def test_a_network_of_one_quantity_contributes_what_it_changes(opset: int, tmp_path: Path) -> None:
    """The mean series is 1 and 2; both classes are given, of which the second is the event."""
    other = helper.make_node("Neg", ["series"], ["minus"])
    both = helper.make_node("Concat", ["minus", "series"], ["classes"], axis=2)
    share = helper.make_node("Softmax", ["classes"], ["shares"], axis=2)
    last = helper.make_node("Slice", ["shares", "from", "to", "first_axis"], ["newest"])
    flat = helper.make_node("Squeeze", ["newest", "from"], ["risk"])
    constants = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array([number], np.int64)))
        for name, number in (("from", 1), ("to", 2), ("first_axis", 1))
    ]
    content = _network(*constants, other, both, share, last, flat, opset=opset, mask=False)
    (tmp_path / "net.onnx").write_bytes(content)
    X = np.array([[0.0, 1.0], [2.0, 3.0]])
    model = SequenceModel.read(SequenceFile(tmp_path / "net.onnx", 2), ("a_1", "a_2"), X)
    assert (model.columns, model.mean.tolist(), model.edges) == (2, [[1.0, 2.0]], ((), ()))
    assert model.base == pytest.approx(4.0), "the log odds of the softmax of -x and x are 2 x, of the newest step"
    rows = np.array([[1.0, 3.0], [1.0, 9.0], [2.0, np.nan], [np.nan, np.nan]])
    assert model.margin(rows).tolist() == pytest.approx([6.0, 6.0, 0.0, 0.0], abs=1e-4)
    assert model.contributions(rows) == pytest.approx(
        np.array([[0.0, 2.0], [0.0, 2.0], [-4.0, 0.0], [0.0, -4.0]]), abs=1e-4
    )
    moved = model.recalibrated(1.0, 2.0).recalibrated(0.5, 3.0)
    assert (moved.intercept, moved.slope) == (3.5, 6.0)
    assert moved.margin(rows).tolist() == pytest.approx([39.5, 39.5, 3.5, 3.5], abs=1e-3)
