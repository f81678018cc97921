"""An earlier version read from its file: the same numbers, recalibrated as its margins say, and files that are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import Groups, write_file
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees, Term
from models_onnx.workbench.compiler.families.from_file import FromFile
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, PiecewiseLinear
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, Link, Survival
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

NAMED = {"features": '["a", "b"]'}
HAZARDS = Survival.at({1.0: 0.125, 5.0: 0.5}, 5.0)
X = np.array([[0.0, 1.0], [2.0, 4.0], [np.nan, 2.0]])


def trees(link: Link = LOGIT) -> AdditiveTrees:
    """Steps of one input and of a pair."""
    pair = Term((0, 1), ((1.0,), (3.0,)), np.array([[0.0, 0.5, 0.0], [0.25, 1.0, 0.0], [0.125, 0.0, 0.0]]))
    alone = Term((0,), ((1.0,),), np.array([-0.5, 0.75, 0.25]))
    return AdditiveTrees(("a", "b"), (alone, pair), -1.0, (0.0, 1.0), (2.0, 4.0), link)


def lines(link: Link = LOGIT) -> PiecewiseLinear:
    """A broken line of each input."""
    both = (BrokenLine("a", (0.0, 1.0), (0.5, 0.25), 0.25, 2.0, 2.0), BrokenLine("b", (1.0,), (-0.5,), 0.5, 4.0, 4.0))
    return PiecewiseLinear(both, -1.0, link)


def read(model: Any, folder: Path, **settings: Any) -> FromFile:
    """The model of the file that is written of it."""
    (folder / "m.onnx").write_bytes(write_file("m", model, REFERENCE, NAMED, **settings))
    return FromFile.read(folder / "m.onnx")


@pytest.mark.parametrize("model", [trees(), lines(), trees(HAZARDS), lines(HAZARDS)])
def test_an_earlier_version_says_what_it_said_and_recalibrated_what_its_margin_says(model: Any, tmp_path: Path) -> None:
    again = read(model, tmp_path)
    assert (again.features, again.base, again.low, again.high) == (("a", "b"), -1.0, model.low, model.high)
    assert again.edges == ((), ())
    assert again.link.name == model.link.name
    assert again.contributions(X) == pytest.approx(model.contributions(X), abs=1e-12)
    assert again.margin(X) == pytest.approx(model.margin(X), abs=1e-12)
    moved = again.recalibrated(0.25, 2.0).recalibrated(-0.5, 0.5)  # 0.5 (0.25 + 2 m) - 0.5
    assert moved.base == -1.375
    assert moved.margin(X) == pytest.approx(model.margin(X) - 0.375, abs=1e-12)
    assert moved.contributions(X) == pytest.approx(model.contributions(X), abs=1e-12)
    steeper = again.recalibrated(0.25, 2.0)
    assert steeper.contributions(X) == pytest.approx(2 * model.contributions(X), abs=1e-12)
    for version, factor, shift in ((again, 1.0, 0.0), (moved, 1.0, -0.375), (steeper, 2.0, 0.25)):
        answer = says(write_file("m", version, REFERENCE, {}), X)
        assert answer["margin"] == pytest.approx(factor * model.margin(X) + shift, abs=1e-12)
        assert answer["contributions"] == pytest.approx(factor * model.contributions(X), abs=1e-12)


def test_horizons_keep_the_ratios_of_their_hazards(tmp_path: Path) -> None:
    link = read(trees(HAZARDS), tmp_path).link
    assert isinstance(link, Survival)
    assert (link.horizons, link.main, link.unit) == ((1.0, 5.0), 5.0, "years")
    assert link.hazards[1] / link.hazards[0] == pytest.approx(4.0)


def test_a_file_without_exact_contributions_on_a_margin_is_refused(tmp_path: Path) -> None:
    sentence = (
        "m.onnx has no exact contributions on a margin of its own, which a line could recalibrate; train a new version "
        "instead (cds-hooks model retrain)"
    )
    for model, settings in (
        (trees(IDENTITY), {}),
        (trees(), {"groups": Groups.of(("a", "b"), {"both": ["a", "b"]})}),
    ):
        with pytest.raises(CompileRefused) as refused:
            read(model, tmp_path, **settings)
        assert str(refused.value) == sentence


def test_a_file_of_another_maker_is_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Identity", ["features"], ["y"])], "g", [x], [y])
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(CompileRefused) as refused:
        FromFile.read(tmp_path / "m.onnx")
    assert str(refused.value) == "m.onnx is no file that cds-hooks wrote, so its terms are not known"
