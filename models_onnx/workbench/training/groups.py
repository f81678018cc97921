"""Groups of people by which a model is judged fair: which are not named, joined, scattered, or used as an input.

The columns behind each axis of fairness are found by shuffling, so a declaration cannot leave them out. An axis is a
function of the declaration: one that calls two groups by one name would hide what differs between them, and so would
one that splits a group into parts of which none is large enough to be judged.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.patient import Age, Sex
from models_onnx.spec import SEED, ModelSpec
from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import logit
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.chart_table import UNDATED
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.leaks import separates
from models_onnx.workbench.training.data.reads import Reads, read_by, some_of
from models_onnx.workbench.training.evaluate import ENOUGH_EVENTS, Evaluator

Array = NDArray[np.float64]
Figures = dict[str, Any]
# Columns that may be behind no input, whatever the specification calls them (45 CFR 92.210; README of the tables).
PROTECTED = re.compile(r"race|ethnic|language|religio|payer|insur|income|poverty|education", re.IGNORECASE)
# An input that tells a protected group from the others as well as this stands for it.
PROXY = 0.9
_LEAST_GROUP = 50
_MOST_GROUPS = 12
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
# Columns whose groups are judged under these names of axes: an axis of another name would be judged by less.
_AXES = {
    "race": re.compile("race|ethnic", re.IGNORECASE),
    "sex": re.compile(r"(?:^|_)(?:sex|gender)(?:_|$)", re.IGNORECASE),
    "age": re.compile(r"(?:^|_)age(?:_|$)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class TracedGroups:
    """What an axis does not say: `smuggled` are sentences on inputs that stand for a protected group.

    `unnamed` are columns of race, sex or age for which the specification has no axis of fairness of that name;
    `unjudged` other columns of a few values by which there is no axis, and which may be groups of people.
    """

    smuggled: tuple[str, ...]
    unnamed: tuple[str, ...]
    unjudged: tuple[str, ...]


def traced_groups(spec: ModelSpec, cohort: Cohort, reads: Reads) -> TracedGroups:
    """Return which groups inputs read or tell, and which columns no axis is read from."""
    axes = {axis: read_by(column_of, reads.some, reads.columns) for axis, column_of in spec.subgroups.items()}
    smuggled = (*_smuggled(reads.inputs, axes), *_proxies(spec, cohort))
    read = {*reads.inputs, *reads.outcome, *(column for behind in axes.values() for column in behind)}
    others = (name for name in reads.columns if name not in {*read, spec.patient_column, UNDATED})
    unjudged = tuple(name for name in others if _makes_groups(cohort.rows[name]))
    return TracedGroups(smuggled, tuple(_unnamed(axes, reads.columns, cohort.rows)), unjudged)


def _makes_groups(column: pd.Series) -> bool:
    """Return whether a column has a few values, of which two or more are of as many rows as a group needs.

    A number with decimals is a measurement, whatever its values.
    """
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 != 0).any():
        return False
    counts = column.dropna().astype(str).value_counts()
    return len(counts) <= _MOST_GROUPS and int((counts >= _LEAST_GROUP).sum()) >= 2


def _unnamed(axes: Mapping[str, set[str]], columns: Iterable[str], rows: pd.DataFrame) -> Iterator[str]:
    """Columns of race, sex or age that no axis of that name is read from, whatever other axes are called.

    A column of race or ethnicity in which nothing is recorded makes no groups.
    """
    for kind, pattern in _AXES.items():
        prefixes = ("race", "ethnic") if kind == "race" else (kind,)
        covered = {column for axis, columns in axes.items() if axis.lower().startswith(prefixes) for column in columns}
        there = [name for name in columns if pattern.search(name)]
        if kind == "race":
            yield from (name for name in there if name not in covered and _is_recorded(rows[name]))
        elif there and not covered & set(there):
            yield there[0]


def _is_recorded(column: pd.Series) -> bool:
    return bool((column.dropna().astype(str).str.strip() != "").any())


def _smuggled(inputs: Mapping[str, list[str]], axes: Mapping[str, set[str]]) -> Iterator[str]:
    behind = {column: axis for axis, columns in axes.items() for column in columns}
    for column, read in inputs.items():
        axis = behind.get(column, "")
        if not PROTECTED.search(column) and not PROTECTED.search(axis):
            read = [name for name in read if _may_not_read(name, axis)]
        if read:
            yield f"{', '.join(read)} is read from {column}{f', which makes the axis {axis}' if axis else ''}"


def _may_not_read(name: str, axis: str) -> bool:
    """Return whether an input of another kind reads the column of sex or age; other axes are no protected group."""
    feature = FEATURES.get(name)
    if axis.startswith("sex"):
        return not isinstance(feature, Sex)
    return axis.startswith("age") and not isinstance(feature, Age)


def _proxies(spec: ModelSpec, cohort: Cohort) -> Iterator[str]:
    for axis, column_of in spec.subgroups.items():
        if not PROTECTED.search(axis):
            continue
        group = column_of(cohort.rows).to_numpy(dtype=object)
        for value in sorted({str(member) for member in group if not pd.isna(member)}):
            is_member = np.array([str(member) == value for member in group])
            if is_member.sum() < _LEAST_GROUP or (~is_member).sum() < _LEAST_GROUP:
                continue
            for position, name in enumerate(cohort.features):
                separation = separates(cohort.X[:, position], is_member.astype(np.int64))
                if separation >= PROXY:
                    yield f"{name} tells {value} of the axis {axis} from the others (AUROC {separation:.2f})"


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
    """Write a sentence for each value of such a column the axis counts as "not recorded", though it is recorded."""
    sentences = []
    for axis, group, column, values in _axes(spec, cohort):
        nobody = np.array([pd.isna(member) or str(member).lower() in _NOT_JUDGED for member in group])
        for value in sorted({str(value) for value in values[nobody] if not pd.isna(value)}):
            events = int(cohort.y[nobody & (values.astype(str) == value)].sum())
            if events >= ENOUGH_EVENTS and not _SAYS_NOTHING.fullmatch(value.strip()):
                sentences.append(f"{axis}: {value!r} of the column {column} counts as not recorded ({events:,} events)")
    return tuple(sentences)


def _axes(spec: ModelSpec, cohort: Cohort) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield each axis with the groups of its rows, and each column of names behind it with its values."""
    axes = {axis: column_of for axis, column_of in spec.subgroups.items() if axis.lower().startswith(_NAMED)}
    some, names = some_of(cohort.rows), list(map(str, cohort.rows.columns))
    for axis, columns in ((axis, read_by(of, some, names)) for axis, of in axes.items()):
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
