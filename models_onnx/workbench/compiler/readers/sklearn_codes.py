"""scikit-learn's encoders as curves: OneHotEncoder, OrdinalEncoder."""

from dataclasses import replace
from typing import Any

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers.column import NAN, Column, Inputs

MOST_CATEGORIES = 2000
"""Of one input: a file with a column for each of 2,000 takes twenty seconds to make, and twice as many four times."""


def ordinal(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns the position of each category."""
    encoded = []
    for column, categories in zip(columns, step.categories_, strict=True):
        name = inputs.names[column.input]
        if getattr(step, "infrequent_categories_", None) and any(x is not None for x in step.infrequent_categories_):
            raise CompileRefused("OrdinalEncoder with infrequent categories is not compiled: join them before training")
        _refuse_too_many(categories, name)
        present = [category for category in categories if not _is_missing(category)]
        # A missing value that was not there in training is an unknown one.
        unseen = float(step.unknown_value) if step.handle_unknown == "use_encoded_value" else NAN
        of_missing = float(step.encoded_missing_value) if len(present) < len(categories) else unseen
        if name in inputs.text:
            texts = tuple(map(str, present))
            if inputs.categories.setdefault(name, texts) != texts:
                raise CompileRefused(f"{name} is encoded twice, with other categories")
            filled = NAN if column.fill is None or column.fill not in texts else float(texts.index(column.fill))
            missing = filled if column.fill is not None else of_missing
            encoded.append(replace(column, curve=Curve.identity().at_missing(missing), fill=None, coded=True))
            continue
        encoded.append(replace(column, curve=_number_order(column, present, of_missing, name, step)))
    return encoded


def _refuse_too_many(categories: Any, name: str) -> None:
    if len(categories) > MOST_CATEGORIES:
        raise CompileRefused(
            f"{name} has {len(categories):,} categories, and of one input at most {MOST_CATEGORIES:,} are compiled: "
            "join those that few people have into one before training, or leave out what names a person"
        )


def _number_order(column: Column, present: list[Any], of_missing: float, name: str, step: Any) -> Curve:
    """Returns the position of a number among the categories, `unknown_value` between them."""
    if not column.as_it_is:
        raise CompileRefused(f"OrdinalEncoder is compiled for inputs as they are; {name} was changed before it")
    if step.handle_unknown != "use_encoded_value" or np.isnan(step.unknown_value):
        raise CompileRefused(
            f"OrdinalEncoder of the numbers of {name} says nothing about other numbers: declare "
            "handle_unknown='use_encoded_value' and unknown_value=-1, or leave the number as it is"
        )
    unknown, breaks, values = float(step.unknown_value), list[float](), [float(step.unknown_value)]
    for position, category in enumerate(map(float, present)):
        if float(np.float32(category)) != category:
            raise CompileRefused(f"the category {category!r} of {name} is no float32, so no input could be equal to it")
        after = float(np.nextafter(np.float32(category), np.float32(np.inf)))
        if breaks and breaks[-1] == category:
            values[-1] = float(position)
            breaks.append(after)
        else:
            breaks += [category, after]
            values.append(float(position))
        values.append(unknown)
    order = Curve.steps(breaks, values, of_missing)
    imputed = column.curve.missing
    return order if np.isnan(imputed) else order.at_missing(float(order.values(np.array([imputed]))[0]))


def one_hot(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns one column of 0 and 1 for each category."""
    if getattr(step, "infrequent_categories_", None) and any(
        infrequent_category is not None for infrequent_category in step.infrequent_categories_
    ):
        raise CompileRefused("OneHotEncoder with infrequent categories is not compiled: join them before training")
    dropped = [None] * len(columns) if step.drop_idx_ is None else list(step.drop_idx_)
    encoded = []
    for column, categories, drop in zip(columns, step.categories_, dropped, strict=True):
        name = inputs.names[column.input]
        _refuse_too_many(categories, name)
        if name in inputs.text:
            encoded += _text_codes(column, list(categories), drop, step, inputs)
            continue
        if not column.as_it_is:
            raise CompileRefused(f"OneHotEncoder is compiled for inputs as they are; {name} was changed before it")
        encoded += _number_codes(column, list(categories), drop, name, step)
    return encoded


def _text_codes(column: Column, categories: list[Any], drop: int | None, step: Any, inputs: Inputs) -> list[Column]:
    name = inputs.names[column.input]
    texts = tuple(str(category) for category in categories if isinstance(category, str))
    if inputs.categories.setdefault(name, texts) != texts:
        raise CompileRefused(f"{name} is encoded twice, with other categories")
    encoded = []
    for number, category in enumerate(categories):
        if number == drop:
            continue
        of_missing = _when_missing(category, column.fill, categories, step)
        position = texts.index(category) if category in texts else None
        encoded.append(replace(column, curve=_only_at(position, of_missing), coded=True))
    return encoded


def _number_codes(column: Column, categories: list[Any], drop: int | None, name: str, step: Any) -> list[Column]:
    encoded = []
    for position, category in enumerate(categories):
        if position == drop:
            continue
        value = float(category)
        if not np.isnan(value) and float(np.float32(value)) != value:
            raise CompileRefused(f"the category {value!r} of {name} is no float32, so no input could be equal to it")
        imputed = column.curve.missing
        of_missing = _when_missing(value, None, categories, step) if np.isnan(imputed) else float(value == imputed)
        encoded.append(replace(column, curve=_only_at(None if np.isnan(value) else value, of_missing)))
    return encoded


def _when_missing(category: Any, fill: str | None, categories: list[Any], step: Any) -> float:
    """1 where this column stands for the missing; no answer where the encoder refuses what it does not know."""
    if fill is not None:
        return float(category == fill)
    if any(_is_missing(category) for category in categories):
        return float(_is_missing(category))
    return 0.0 if step.handle_unknown in ("ignore", "infrequent_if_exist", "warn") else NAN


def _is_missing(category: Any) -> bool:
    return category is None or (isinstance(category, float) and bool(np.isnan(category)))


def _only_at(value: float | None, missing: float) -> Curve:
    """1 at exactly this value."""
    if value is None:
        return Curve.steps([], [0.0], missing)
    after = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    return Curve.steps([float(value), after], [0.0, 1.0, 0.0], missing)
