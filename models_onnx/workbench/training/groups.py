"""Groups of people by which a model is judged fair: which are not named, or used as an input.

The columns behind each axis of fairness are found by shuffling, so a declaration cannot leave them out.
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
from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.leaks import separates
from models_onnx.workbench.training.data.reads import Reads, read_by

Array = NDArray[np.float64]
Figures = dict[str, Any]
# Columns that may be behind no input, whatever the specification calls them (45 CFR 92.210; README of the tables).
PROTECTED = re.compile(r"race|ethnic|language|religio|payer|insur|income|poverty|education", re.IGNORECASE)
# An input that tells a protected group from the others as well as this stands for it.
PROXY = 0.9
_LEAST_GROUP = 50
# Columns whose groups are judged under these names of axes: an axis of another name would be judged by less.
_AXES = {
    "race": re.compile("race|ethnic", re.IGNORECASE),
    "sex": re.compile(r"(?:^|_)(?:sex|gender)(?:_|$)", re.IGNORECASE),
    "age": re.compile(r"(?:^|_)age(?:_|$)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class TracedGroups:
    """What an axis does not say: `smuggled` are sentences on inputs that stand for a protected group.

    `unnamed` are columns of race, sex or age for which the specification has no axis of fairness of that name.
    """

    smuggled: tuple[str, ...]
    unnamed: tuple[str, ...]


def traced_groups(spec: ModelSpec, cohort: Cohort, reads: Reads) -> TracedGroups:
    """Return which groups inputs read or tell, and which columns no axis is read from."""
    axes = {axis: read_by(column_of, reads.some, reads.columns) for axis, column_of in spec.subgroups.items()}
    smuggled = (*_smuggled(reads.inputs, axes), *_proxies(spec, cohort))
    return TracedGroups(smuggled, tuple(_unnamed(axes, reads.columns, cohort.rows)))


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
