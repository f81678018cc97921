"""Figures of people whom an axis of fairness joins or scatters although the table tells them apart.

An axis is a function of the declaration: one that calls two groups by one name would hide what differs between them,
and so would one that splits a group into parts of which none is large enough to be judged.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from models_onnx.spec import SEED, ModelSpec
from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import logit
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.tracing import columns_behind_axes
from models_onnx.workbench.training.evaluate import ENOUGH_EVENTS, Evaluator
from models_onnx.workbench.training.fitting.additive import Array

Figures = dict[str, Any]
# Axes whose groups are judged by error rates (gates/checks/fairness.py); ages are a scale and not names.
_NAMED = ("sex", "race", "ethnic")
_MOST_VALUES = 50
# The groups that gate G9 shows and does not judge.
_NOT_JUDGED = frozenset({"not recorded", "unknown"})
_SAYS_NOTHING = re.compile(
    r"[\W_]*|nan|none|null|n/?a|missing|(not |un)(recorded|known|specified|reported|determined|available|disclosed)|"
    r"declined.*|refused.*|patient (declined|refused).*|unable to (obtain|answer).*|asked.*",
    re.IGNORECASE,
)
_REPLICATES = 200
JOINED = "the axis calls them by one name: name them apart"
SCATTERED = "the axis splits them into groups that are too small to judge: name them by one name each"


def figures_within_groups(spec: ModelSpec, cohort: Cohort, probability: Array, threshold: float) -> tuple[Figures, ...]:
    """One block for each value of a column that an axis of sex, race or ethnicity joins with another one, or scatters.

    Only values with `ENOUGH_EVENTS` events each are told; `axis` names the group that they are part of, or the column
    of values that it scatters, and `why` says which of the two. `threshold` is the probability from which there is a
    card.
    """
    odds = logit(probability)
    evaluator = Evaluator(
        spec, cohort, OutOfFold(odds, odds, {}), float(logit(np.array([threshold]))[0]), _REPLICATES, SEED
    )
    wanted = {name: evaluator.alerts[name] for name in ("sensitivity", "false_positive_rate")}
    wanted = {**wanted, "observed_expected": metrics.observed_expected}
    hidden = [(JOINED, *group) for group in _joined(spec, cohort)] + [
        (SCATTERED, *group) for group in _scattered(spec, cohort)
    ]
    return tuple(
        {"axis": axis, "group": name, "why": why, **evaluator.block(rows, wanted)} for why, axis, name, rows in hidden
    )


def hidden_groups(spec: ModelSpec, cohort: Cohort) -> tuple[str, ...]:
    """A sentence for each value of such a column that the axis counts as "not recorded", although it is recorded."""
    sentences = []
    for axis, group, column, values in _axes(spec, cohort):
        nobody = np.array([pd.isna(member) or str(member).lower() in _NOT_JUDGED for member in group])
        for value in sorted({str(value) for value in values[nobody] if not pd.isna(value)}):
            events = int(cohort.y[nobody & (values.astype(str) == value)].sum())
            if events >= ENOUGH_EVENTS and not _SAYS_NOTHING.fullmatch(value.strip()):
                sentences.append(f"{axis}: {value!r} of the column {column} counts as not recorded ({events:,} events)")
    return tuple(sentences)


def _axes(spec: ModelSpec, cohort: Cohort) -> Iterator[tuple[str, Any, str, Any]]:
    """Yields each axis with the groups of its rows, and each column of names behind it with its values."""
    axes = {axis: column_of for axis, column_of in spec.subgroups.items() if axis.lower().startswith(_NAMED)}
    for axis, columns in columns_behind_axes(axes, cohort.rows).items():
        group = axes[axis](cohort.rows).astype(object).to_numpy()
        for column in sorted(columns):
            values = cohort.rows[column].astype(object).to_numpy()
            if pd.Series(values).nunique() <= _MOST_VALUES:
                yield axis, group, column, values


def _joined(spec: ModelSpec, cohort: Cohort) -> Iterator[tuple[str, str, Any]]:
    """Axis with group, value, and the rows of every value that shares its group with another one."""
    is_followed = cohort.weight > 0
    for axis, group, column, values in _axes(spec, cohort):
        for name in sorted({str(member) for member in group if not pd.isna(member)}):
            inside = np.array([str(member) == name for member in group]) & is_followed
            apart = {str(value): inside & (values == value) for value in set(values[inside]) if not pd.isna(value)}
            enough = {value: rows for value, rows in apart.items() if cohort.y[rows].sum() >= ENOUGH_EVENTS}
            if len(enough) > 1:
                for value, rows in sorted(enough.items()):
                    yield f"{axis}, within {name!r}", f"{column} {value}", rows


def _scattered(spec: ModelSpec, cohort: Cohort) -> Iterator[tuple[str, str, Any]]:
    """Axis with column, value, and its rows, where a value with enough events has them in no group of the axis."""
    is_followed = cohort.weight > 0
    for axis, group, column, values in _axes(spec, cohort):
        is_judged = (
            pd.DataFrame({"value": values, "group": group, "events": cohort.y})[is_followed]
            .dropna()
            .astype({"group": str})
        )
        events = is_judged.groupby("value", observed=True)["events"].sum()
        most = (
            is_judged.groupby(["value", "group"], observed=True)["events"].sum().groupby("value", observed=True).max()
        )
        enough = [value for value in events.index if events[value] >= ENOUGH_EVENTS]
        if len(enough) > 1 and any(most[value] < ENOUGH_EVENTS for value in enough):
            yield from ((f"{axis}, by {column}", str(value), is_followed & (values == value)) for value in enough)
