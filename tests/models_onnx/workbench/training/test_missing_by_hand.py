"""What a missing input counts as, from the declaration and from fitted imputers of a few numbers."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.artifact.manifest import MissingInputs
from models_onnx.errors import TrainingRefused
from models_onnx.spec import AdditiveLogistic, ModelSpec, Recalibrated
from models_onnx.workbench.training import missing
from models_onnx.workbench.training.fitting.families import Boosted
from models_onnx.workbench.training.fitting.own import Own

NAMES = ("age", "lab", "count")
ROWS = np.array([[1.0, 10.0, 0.0], [2.0, np.nan, 4.0], [6.0, 30.0, 4.0], [7.0, 50.0, np.nan]])
Y = np.array([0, 1, 0, 1])
FRAME = pd.DataFrame(ROWS, columns=list(NAMES))
MEANS = {"age": 4.0, "lab": 30.0, "count": 8 / 3}


def _spec(missing_inputs: str = "average", estimator: Any = None, always: tuple[str, ...] = ()) -> ModelSpec:
    facts = {"id": "m", "feature_names": NAMES, "always_required": always, "missing_inputs": missing_inputs,
             "estimator": estimator or AdditiveLogistic(knots=1, C=1.0)}  # fmt: skip
    return cast(ModelSpec, SimpleNamespace(**facts))


def _own(model: Any) -> Any:
    read: Any = SimpleNamespace(fitted=SimpleNamespace(link=None))
    return Own(model, NAMES, read)


IMPUTED = make_pipeline(SimpleImputer(), LogisticRegression()).fit(ROWS, Y)
BARE = LogisticRegression().fit(np.nan_to_num(ROWS), Y)


@pytest.mark.parametrize(
    ("spec", "fitted", "told"),
    [
        (_spec(), _own(IMPUTED), None),
        (_spec("learned"), _own(IMPUTED), MissingInputs(kind="learned")),
        (_spec("imputed"), _own(IMPUTED), MissingInputs(kind="imputed", values=MEANS)),
        (_spec("imputed", always=NAMES), _own(BARE), MissingInputs(kind="imputed", values={})),
        (_spec("imputed", always=NAMES), object(), MissingInputs(kind="imputed", values={})),
        (
            _spec(),
            Boosted(cast(Any, None), np.array([1.0, 2.0, 3.0]), True),
            MissingInputs(kind="imputed", values={"age": 1.0, "lab": 2.0, "count": 3.0}),
        ),
        (_spec(estimator=Recalibrated(cast(Any, "f"), "others", True)), object(), None),
        (
            _spec(estimator=Recalibrated(cast(Any, "f"), "others", True, "imputed", {"lab": 2.0})),
            object(),
            MissingInputs(kind="imputed", values={"lab": 2.0}),
        ),
        (
            _spec("average", estimator=Recalibrated(cast(Any, "f"), "others", True, "learned")),
            object(),
            MissingInputs(kind="learned", values={}),
        ),
    ],
)
def test_what_a_missing_input_counts_as(spec: ModelSpec, fitted: Any, told: MissingInputs | None) -> None:
    assert missing.missing_inputs_of(spec, fitted) == told


def test_an_input_for_which_nothing_stands_in_is_named() -> None:
    with pytest.raises(TrainingRefused) as refused:
        missing.missing_inputs_of(_spec("imputed", always=("age",)), _own(BARE))
    assert str(refused.value) == (
        "m: missing_inputs='imputed' is declared, and no SimpleImputer before the model says by which value count, lab "
        "is replaced; declare missing_inputs='learned', or impute it in the pipeline"
    )


def _columns(chosen: Any, rows: Any = FRAME, **more: Any) -> Any:
    return ColumnTransformer([("some", SimpleImputer(**more), chosen)], remainder="passthrough").fit(rows)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (SimpleImputer().fit(ROWS), MEANS),
        (SimpleImputer(strategy="median").fit(ROWS), {"age": 4.0, "lab": 30.0, "count": 4.0}),
        (SimpleImputer(add_indicator=True).fit(ROWS), {}),
        (SimpleImputer().fit(np.where(np.arange(3) == 1, np.nan, ROWS)), {"age": 4.0, "count": 8 / 3}),
        (make_pipeline(StandardScaler(), SimpleImputer()).fit(ROWS), {}),
        (SimpleImputer().fit(ROWS[:, :2]), {}),
        (_columns(["lab"]), {"lab": 30.0}),
        (_columns(slice(0, 2)), {"age": 4.0, "lab": 30.0}),
        (_columns([2, 0]), {"count": 8 / 3, "age": 4.0}),
        (_columns(np.array([1])), {"lab": 30.0}),
        (_columns(["lab"], rows=FRAME.set_axis(["a", "lab", "c"], axis=1)), {"lab": 30.0}),
        (_columns(["l"], rows=FRAME.set_axis(["a", "l", "c"], axis=1)), {"lab": 30.0}),
        (
            CalibratedClassifierCV(IMPUTED, ensemble=False, cv=2).fit(ROWS, Y),
            MEANS,
        ),
        (CalibratedClassifierCV(IMPUTED, cv=2).fit(ROWS, Y), {}),
        (BARE, {}),
    ],
)
def test_the_values_of_fitted_imputers(model: Any, values: dict[str, float]) -> None:
    assert missing.imputed_values(model, NAMES) == pytest.approx(values)
