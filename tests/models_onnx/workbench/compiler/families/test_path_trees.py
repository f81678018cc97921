"""Deep trees: the refusal says what they cost and what works instead, and the approximation is marked as one."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from models_onnx.errors import CompileRefused
from models_onnx.serving.registry import load_model
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.families.path_trees import PathTrees, apart_from_shapley
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees, exact_megabytes
from models_onnx.workbench.compiler.families.trees import Cuts, Ensemble
from models_onnx.workbench.compiler.readers.sklearn_trees import from_hist_gradient_boosting
from models_onnx.workbench.gates.checks.explanation import check_explanation
from models_onnx.workbench.gates.subject import Subject
from tests.libraries import lightgbm
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workshop import KEYS, evidence

NAMES = ["a", "b", "c", "d", "e"]


def people(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Five inputs that work together, a tenth of one of them missing."""
    draw = np.random.default_rng(3)
    X = draw.normal(size=(count, 5)).astype(np.float32).astype(float)
    y = (X[:, 0] * X[:, 1] + X[:, 2] + draw.normal(size=count) > 0.3).astype(int)
    X[draw.random(count) < 0.1, 3] = np.nan
    return X, y


def deep(library: str) -> object:
    """A model of this library with trees of more than six questions."""
    X, y = people()
    if library == "lightgbm":
        model = lightgbm.LGBMClassifier(n_estimators=15, max_depth=9, num_leaves=60, min_child_samples=4, verbose=-1)
        return model.fit(X, y)
    if library == "forest":
        return RandomForestClassifier(12, max_depth=9, random_state=0).fit(X, y)
    return HistGradientBoostingClassifier(max_iter=15, max_depth=9, min_samples_leaf=4).fit(X, y)


@pytest.mark.parametrize("library", ["hist", "lightgbm", "forest"])
def test_the_file_of_deep_trees_says_the_librarys_probability_and_its_shares_add_up(library: str) -> None:
    X, _ = people()
    model = deep(library)
    compiled = compile_model(model, X, features=NAMES, approximate=True)
    told = says(compiled.content, X)
    assert np.abs(told["probability"] - model.predict_proba(X)[:, 1]).max() < 1e-5  # type: ignore[attr-defined]
    assert compiled.report.base is not None
    margin = compiled.report.base + told["contributions"].sum(axis=1)
    assert np.abs(margin - told["margin"]).max() < 1e-5
    assert compiled.report.explanation.startswith("APPROXIMATION")
    assert compiled.report.approximation is not None
    assert 0.3 < compiled.report.approximation.strongest <= 1.0


def test_the_refusal_says_the_cost_and_every_thing_that_works_instead() -> None:
    X, y = people()
    with pytest.raises(CompileRefused) as refused:
        compile_model(deep("hist"), X, features=NAMES)
    said = str(refused.value)
    assert "deep, up to 4 are explained exactly: their tables would take about" in said
    assert "Train with max_depth=4" in said
    assert "--approximate" in said
    assert "deepest=" not in said
    six = HistGradientBoostingClassifier(max_iter=3, max_depth=6, min_samples_leaf=4).fit(X, y)
    with pytest.raises(CompileRefused, match="deepest=6 explains these exactly"):
        compile_model(six, X, features=NAMES)


def boosted(rounds: int, depth: int) -> Ensemble:
    """Trees of scikit-learn as the compiler reads them."""
    X, y = people()
    fitted = HistGradientBoostingClassifier(max_iter=rounds, max_depth=depth).fit(X, y)
    return from_hist_gradient_boosting(fitted, NAMES, Cuts((float("nan"),) * 5))


def test_the_cost_is_that_of_the_tables_that_would_be_written() -> None:
    X, _ = people()
    ensemble = boosted(10, 4)
    tables = sum(part.table.size + len(part.table) for part in ShapleyTrees.of(ensemble, X).parts)
    assert exact_megabytes(ensemble) == pytest.approx(tables * 8 / 2**20, rel=0.3)


def test_trees_that_can_be_exact_stay_exact_although_an_approximation_is_allowed() -> None:
    X, y = people()
    shallow = HistGradientBoostingClassifier(max_iter=10, max_depth=3).fit(X, y)
    compiled = compile_model(shallow, X, features=NAMES, approximate=True)
    assert compiled.report.approximation is None
    assert compiled.report.explanation.startswith("Exact")


def test_the_measured_distance_is_near_nothing_for_exact_values_and_more_for_shares() -> None:
    X, _ = people()
    ensemble = boosted(25, 4)
    exact, shares = ShapleyTrees.of(ensemble, X), PathTrees.of(ensemble, X)
    assert apart_from_shapley(exact, X).strongest >= 0.9
    assert apart_from_shapley(exact, X).difference < apart_from_shapley(shares, X).difference


def test_too_many_nodes_for_a_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_onnx.workbench.compiler.families.path_trees._ALL_BYTES", 1000)
    with pytest.raises(CompileRefused, match="train fewer or shallower trees"):
        compile_model(deep("hist"), people()[0], features=NAMES, approximate=True)


def test_gate_g6_refuses_an_approximation_for_cards() -> None:
    X, _ = people()
    manifest = load_model("mortality_5y").manifest
    features = tuple(
        msgspec.structs.replace(
            item, name=name, trained_low=0.0, trained_high=3.0, reference_value=1.0, clip_high=None, choices=()
        )
        for item, name in zip(manifest.features, NAMES, strict=False)
    )
    content = compile_model(deep("hist"), X, features=NAMES, approximate=True).content
    about = msgspec.structs.replace(manifest, features=features)
    subject = Subject(folder=Path(), keys=KEYS, content=content, about=about, card={})
    (fault,) = check_explanation(subject, evidence()).faults
    assert "marked as an approximation" in fault
