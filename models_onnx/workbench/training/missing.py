"""What a missing input counts as in a model: the average, a value that is put in its place, or what was learned.

Whoever declares a model says which (`ModelSpec.missing_inputs`); gate G6 holds the file to it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from models_onnx.artifact.manifest import MissingInputs
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.training.fitting.families import Boosted, Fitted
from models_onnx.workbench.training.fitting.own import Own


def missing_inputs_of(spec: ModelSpec, fitted: Fitted) -> MissingInputs | None:
    """Returns what the manifest says of missing inputs; None where they count as the average.

    Raises:
        TrainingRefused: "imputed" is declared, and no imputer says by which values.
    """
    if isinstance(fitted, Boosted):
        return MissingInputs(kind="imputed", values=dict(zip(spec.feature_names, map(float, fitted.fill), strict=True)))
    grouped = fitted.read.fitted if isinstance(fitted, Own) else None
    if isinstance(grouped, GroupedModel) and grouped.fills:
        return MissingInputs(
            kind="imputed", values=dict(zip(grouped.features, grouped.background.tolist(), strict=True))
        )
    if isinstance(grouped, GroupedModel) and spec.missing_inputs is None:
        raise TrainingRefused(
            f"{spec.id}: the file takes missing values itself, so declare what they count as: missing_inputs='learned'"
            ", or 'imputed' where a SimpleImputer is in it"
        )
    if spec.missing_inputs == "learned":
        return MissingInputs(kind="learned")
    if spec.missing_inputs != "imputed":
        return None
    values = imputed_values(fitted.model, fitted.features) if isinstance(fitted, Own) else {}
    if absent := sorted(set(spec.feature_names) - set(spec.always_required) - set(values)):
        raise TrainingRefused(
            f"{spec.id}: missing_inputs='imputed' is declared, and no SimpleImputer before the model says by which "
            f"value {', '.join(absent)} is replaced; declare missing_inputs='learned', or impute it in the pipeline"
        )
    return MissingInputs(kind="imputed", values=values)


def imputed_values(model: Any, features: tuple[str, ...]) -> dict[str, float]:
    """The value by which the SimpleImputers of a fitted pipeline replace each input; none where absence is a column.

    An imputer that also makes indicator columns tells the model of the absence: what it means was learned.
    """
    value_of_input: dict[str, float] = {}
    called = _as_the_model_calls_them(model, features)
    for imputer, columns in _imputers(model, tuple(called)):
        if imputer.indicator_ is not None:
            return {}
        values = np.asarray(imputer.statistics_, dtype=np.float64).tolist()
        value_of_input.update(zip((called[name] for name in columns), values, strict=True))
    return {name: value for name, value in value_of_input.items() if not np.isnan(value)}


def _as_the_model_calls_them(model: Any, features: tuple[str, ...]) -> dict[str, str]:
    """The inputs by the names that the model was fitted with, in their order, where it was fitted with other ones."""
    fitted_with = getattr(model, "feature_names_in_", None)
    names = features if fitted_with is None or len(fitted_with) != len(features) else tuple(map(str, fitted_with))
    return dict(zip(names, features, strict=True))


def _imputers(model: Any, features: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yields each SimpleImputer that sees inputs as they are, with the names of its columns."""
    kind = type(model).__name__
    if kind == "SimpleImputer":
        if len(model.statistics_) == len(features):
            yield model, features
    elif kind == "Pipeline":
        yield from _imputers(model.steps[0][1], features)
    elif kind == "ColumnTransformer":
        for _, transformer, chosen in model.transformers_:
            yield from _imputers(transformer, _names(chosen, features))
    elif kind == "CalibratedClassifierCV" and len(model.calibrated_classifiers_) == 1:
        yield from _imputers(model.calibrated_classifiers_[0].estimator, features)


def _names(chosen: Any, features: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of the columns that a ColumnTransformer hands on, by name or by place."""
    if isinstance(chosen, slice):
        return features[chosen]
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    return tuple(features[column] if isinstance(column, int | np.integer) else str(column) for column in listed)
