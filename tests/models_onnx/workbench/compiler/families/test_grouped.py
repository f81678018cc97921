"""Any ONNX file is explained by the exact Shapley values of groups of its inputs, and refused where it is another."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from models_onnx.errors import CompileRefused, ModelError
from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel
from models_onnx.workbench.compiler.readers.network import OnnxSource
from tests.each import for_rows
from tests.libraries import lightgbm, xgboost
from tests.models_onnx.workbench.compiler.people import NAMES, compiled, invented, says
from tests.models_onnx.workbench.networks import mlp

GROUPS = {"person": ("age", "weight"), "findings": ("lab", "pressure")}


def network(sigmoid: bool = True) -> bytes:
    """A perceptron over the five inputs of the invented people."""
    draw, sizes = np.random.default_rng(8), (5, 12, 7, 1)
    weights = [draw.normal(0, 0.8, pair) for pair in pairwise(sizes)]
    return mlp(weights, [draw.normal(0, 0.3, size) for size in sizes[1:]], sigmoid)


def _voting() -> Any:
    forest = RandomForestClassifier(n_estimators=8, max_depth=3, random_state=0)
    return VotingClassifier([("l", LogisticRegression()), ("f", forest)], voting="soft", flatten_transform=False)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(
    "unfitted",
    [
        MLPClassifier((6,), max_iter=40, random_state=0),
        make_pipeline(SimpleImputer(), GaussianNB()),
        _voting(),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
    ],
    ids=lambda unfitted: type(unfitted).__name__,
)
def test_whatever_is_of_no_form_of_its_own_is_explained_by_groups(unfitted: Any) -> None:
    X, y = invented(gaps=0.0, grid=1)
    fitted = unfitted.fit(X, y)
    file = compiled(fitted, X, features=NAMES, groups=GROUPS)
    assert isinstance(file.fitted, GroupedModel)
    told = says(file.content, X)
    assert np.abs(told["probability"] - fitted.predict_proba(X)[:, 1]).max() < 1e-5
    assert told["contributions"].shape == (len(X), 3)


def test_files_of_deep_trees_are_refused_with_what_to_do(tmp_path: Path) -> None:
    X, y = invented(gaps=0.0, grid=1)
    light = lightgbm.LGBMClassifier(n_estimators=5, max_depth=8, verbose=-1).fit(X, y)
    light.booster_.save_model(tmp_path / "model.txt")
    xgboost.XGBClassifier(n_estimators=5, max_depth=8).fit(X, y).save_model(tmp_path / "model.json")
    for name in ("model.txt", "model.json"):
        with pytest.raises(CompileRefused, match="lower max_depth, or write the model as an ONNX file"):
            compiled(tmp_path / name, X, features=NAMES, groups=GROUPS)


def columns_file(names: tuple[str, ...], flat: bool = False) -> bytes:
    """A file that takes each input by its name, as converters of pipelines write them; the sigmoid of their sum.

    `flat`: as vectors, as ebm2onnx writes them.
    """
    shape = [None] if flat else [None, 1]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    nodes = [helper.make_node("Sum", list(names), ["sum"])]
    nodes.append(helper.make_node("Sigmoid", ["sum"], ["risk"]))
    outputs = [helper.make_tensor_value_info("risk", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "columns", inputs, outputs)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def test_inputs_in_another_order_are_refused_and_other_names_are_declared() -> None:
    X, _ = invented()
    compiled(OnnxSource("net", columns_file(NAMES)), X, features=NAMES)
    with pytest.raises(CompileRefused, match="takes its inputs in another order: count, weight"):
        compiled(OnnxSource("net", columns_file((*NAMES[::-1],))), X, features=NAMES)
    called = tuple(name.upper() for name in NAMES)
    with pytest.raises(CompileRefused, match="takes its inputs others: AGE"):
        compiled(OnnxSource("net", columns_file(called)), X, features=NAMES)
    compiled(OnnxSource("net", columns_file(called), columns=called), X, features=NAMES)


def test_a_file_of_vectors_says_the_same_as_one_of_columns() -> None:
    X, _ = invented(gaps=0.0)
    files = [compiled(OnnxSource("net", columns_file(NAMES, flat)), X, features=NAMES) for flat in (False, True)]
    assert [type(file.fitted) for file in files] == [AdditiveFile, AdditiveFile]
    columns, vectors = (says(file.content, X) for file in files)
    assert np.array_equal(columns["probability"], vectors["probability"])
    assert np.array_equal(columns["contributions"], vectors["contributions"])


def _fixed(content: bytes) -> bytes:
    proto = onnx.load_from_string(content)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return bytes(proto.SerializeToString())


@for_rows(
    ("source", "features", "sentence"),
    [
        (OnnxSource("net", network()[:40]), NAMES, "not a readable ONNX model"),
        (OnnxSource("net", network()), NAMES[:4], r"the declaration gives \[N, 4\]"),
        (OnnxSource("net", network(sigmoid=False)), NAMES, "numbers outside 0 to 1.*answer='log odds'"),
        (OnnxSource("net", _fixed(network())), NAMES, "exported for a fixed number of rows"),
    ],
    ids=["torn", "fewer inputs", "log odds", "one row"],
)
def test_a_file_of_another_kind_is_refused_in_a_sentence(
    source: OnnxSource, features: tuple[str, ...], sentence: str
) -> None:
    X, _ = invented()
    with pytest.raises(ModelError, match=sentence):
        compiled(source, X[:, : len(features)], features=features)
