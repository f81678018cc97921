"""Finds what knows the outcome before a model is trained: inputs, and copied people.

Shown is what an input reads, whatever the declaration calls it: the outcome's own columns, what is written after the
index, the name of a row. Everything else is a `Suspicion`: an input tells too much alone, by its values or by whether
it is there. So do planned treatments and strong markers, so a named person answers it on the card. The limits are ours;
beside each stands what the inputs of our models reach on their tables.

Which columns a declaration reads is seen by handing it a table that remembers what it was asked for.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.patient import Age
from models_onnx.spec import ModelSpec
from models_onnx.workbench.metrics import Ranked, auroc
from models_onnx.workbench.training.data.cohort import Cohort, input_column
from models_onnx.workbench.training.data.follow_up import observe

Array = NDArray[np.float64]
Events = NDArray[np.int64]
# Of the inputs of our models age reaches 0.80 alone, any other 0.67. An outcome of which a quarter is wrong has 0.75.
# Whether a value is there: a cause of death reaches 0.85, what was not asked of the very ill 0.62 (SUPPORT2).
_ALONE, _AGE_ALONE = 0.72, 0.85
# The share of the rows with the outcome above a cut through an input less that of the others: 0.94 are 99 and 5 in 100;
# a measurement that did so would have an AUROC of 0.997.
_ONE_CUT = 0.94
INDEX_DATE = "index_date"
"""The column of a table from charts with the day from which one predicts."""
AFTER_INDEX = frozenset({"followed_days", "event"})
"""What `cds-hooks data --charts` writes of what came after it."""
# Rows of one value, and rows with and without the outcome, from which on it is told that a column is made of it.
_GROUP, _LEAST_OF_EACH = 4, 30
CLEARED = "leave it out, or read it as it stood at the moment of the prediction"
"""What clears an input of the charge that it knows the outcome."""
# One value of hardly anybody without the outcome. With age 90 two in three die within five years, 18 times the odds of
# the others (NHANES); columns that are written after the outcome begin at 440 times.
_ENOUGH, _CERTAIN, _TIMES_THE_ODDS = 30, 0.9, 30.0
# Texts of which nearly every row has its own name people.
_NAMES = 0.9
LEAST_EVENTS = 20
"""The fewest rows with the outcome, and without it, from which it is told whether an input knows it."""
# So few rows show which columns a function asks for.
_ROWS = 100


@dataclass(frozen=True, slots=True)
class Reads:
    """The inputs that are read from each column, the columns behind the outcome, and those of each axis of fairness."""

    inputs: Mapping[str, list[str]]
    outcome: frozenset[str]
    axes: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, spec: ModelSpec, rows: pd.DataFrame) -> Self:
        """Return what the declaration reads of these rows."""
        some, inputs = rows.head(_ROWS), dict[str, list[str]]()
        for item in spec.inputs:
            for column in sorted(_asked(partial(input_column, spec, item.name), some)):
                inputs.setdefault(column, []).append(item.name)
        axes = {axis: _asked(column_of, some) for axis, column_of in spec.subgroups.items()}
        return cls(inputs, _behind_outcome(spec, some), axes)


def _behind_outcome(spec: ModelSpec, rows: pd.DataFrame) -> frozenset[str]:
    follow_up = spec.outcome.follow_up
    if follow_up is not None:
        return _asked(follow_up.time, rows) | _asked(follow_up.event, rows)
    return _asked(lambda table: observe(spec.outcome, table, np.ones(len(rows), dtype=np.bool_)), rows)


class _Watched:
    """A table that remembers which of its columns were asked for."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows
        self.asked: set[str] = set()

    def __getitem__(self, key: Any) -> Any:
        self.asked.update(key if isinstance(key, list) else [key])
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)


def _asked(function: Callable[[Any], Any], rows: pd.DataFrame) -> frozenset[str]:
    watched = _Watched(rows)
    function(watched)
    return frozenset(watched.asked & set(rows.columns))


class Suspicion(str):
    """A sentence on inputs that tell so much that somebody has to say why; it accuses nobody."""

    inputs: tuple[str, ...]

    def __new__(cls, sentence: str, inputs: tuple[str, ...]) -> Self:
        """Return the sentence with the inputs that it is about."""
        suspicion = super().__new__(cls, sentence)
        suspicion.inputs = inputs
        return suspicion


def leaks_of(spec: ModelSpec, cohort: Cohort, reads: Reads | None = None) -> tuple[str, ...]:
    """Return every sentence on an input that knows the outcome, or may know it, before a model is trained.

    Of fewer than 20 rows with or without the outcome nothing is said: by chance an input separates these.
    """
    if min(np.bincount(cohort.y[cohort.weight > 0], minlength=2)) < LEAST_EVENTS:
        return ()
    in_table = leaks_in_table(spec, cohort, reads or Reads.of(spec, cohort.rows))
    return (*in_table, *_too_good(alone(cohort)))


def leaks_in_table(spec: ModelSpec, cohort: Cohort, reads: Reads) -> tuple[str, ...]:
    """Return what can be shown without a model: what inputs read, and who is there twice."""
    leaks = [
        f"{', '.join(read)} is read from {column}, from which the outcome is read"
        for column, read in reads.inputs.items()
        if column in reads.outcome
    ]
    leaks += _read_after_index(cohort, reads)
    leaks += _read_by_name(spec, reads)
    leaks += _made_of_outcome(reads, cohort)
    # who is in two folds under another name is predicted by a model that saw them
    count = max(copied_rows(content, cohort.patient) for content in (cohort.content(), _table_content(spec, cohort)))
    if count > max(FEW, MANY * len(cohort)):
        leaks.append(f"{count:,} rows repeat one of another patient under another name: nobody counts twice")
    return tuple(leaks)


def _made_of_outcome(reads: Reads, cohort: Cohort) -> Iterator[str]:
    """Yield a sentence for each input that is the outcome under another name, or of which one value tells it."""
    is_followed = cohort.weight > 0
    y = cohort.y[is_followed]
    explained = {name for column, names in reads.inputs.items() if column in reads.outcome for name in names}
    for position, name in enumerate(cohort.features):
        x = cohort.X[is_followed, position]
        if name in explained:
            continue
        if is_outcome(x, y):
            yield f"{name} is the outcome under another name: its values part the rows with it from those without"
        else:
            yield from _telling_value(name, x, y)


def is_outcome(x: Array, y: Events) -> bool:
    """Return whether each value of a column has only rows with the outcome, or only rows without: it is made of it.

    So has one that parts both by one cut, such as the days until the event or the end of the follow-up.
    """
    if min(np.bincount(y, minlength=2)) >= _LEAST_OF_EACH and _best_cut(x, y) >= _ONE_CUT:
        return True
    _, codes, count = np.unique(x, return_inverse=True, return_counts=True, equal_nan=True)
    events = np.bincount(codes, weights=y)
    return bool(((events == 0) | (events == count)).all()) and len(x) >= _GROUP * len(count)


def _best_cut(x: Array, y: Events) -> float:
    """Return how well one cut through the values parts rows with the outcome from others: 0 by chance, 1 wholly."""
    shares = []
    for absent in (-np.inf, np.inf):
        _, codes = np.unique(np.where(np.isnan(x), absent, x), return_inverse=True)
        below = [np.cumsum(np.bincount(codes, weights=of_kind)) / max(of_kind.sum(), 1) for of_kind in (y, 1 - y)]
        shares.append(np.abs(below[0] - below[1]).max())
    return float(max(shares))


def _read_after_index(cohort: Cohort, reads: Reads) -> Iterator[str]:
    """Inputs that are read from what `cds-hooks data` writes after the index, or from days after it.

    A day after the index may have been booked before: that is a question.
    """
    index = None
    if INDEX_DATE in cohort.rows:
        index = pd.to_datetime(cohort.rows[INDEX_DATE], errors="coerce", format="ISO8601", utc=True)
    for column, names in reads.inputs.items():
        if column in reads.outcome or column == INDEX_DATE:
            continue
        if column in AFTER_INDEX:
            yield f"{', '.join(names)} is read from {column}, which is written after the index"
        elif index is not None and not pd.api.types.is_numeric_dtype(cohort.rows[column]):
            day = pd.to_datetime(cohort.rows[column], errors="coerce", format="ISO8601", utc=True)
            if late := int((day.dt.floor("D") > index).sum()):
                sentence = f"{', '.join(names)} is read from {column}, which in {late:,} rows is a day after the index"
                yield Suspicion(f"{sentence}: was it booked before?", tuple(names))


def _read_by_name(spec: ModelSpec, reads: Reads) -> list[str]:
    """Return inputs that are read from what only names a row: rows may be numbered by outcome."""
    return [
        f"{', '.join(read)} is read from {column}, which only names a row: its order may know the outcome"
        for column, read in reads.inputs.items()
        if column in (spec.patient_column, spec.key)
    ]


def _is_apart(events: Any, count: Any, other_events: Any, others: Any) -> Any:
    """Return where enough rows have the outcome nearly all, at many times the odds of the others."""
    share, rest = (events + 0.5) / (count + 1), (other_events + 0.5) / (others + 1)
    is_far = share * (1 - rest) >= _TIMES_THE_ODDS * rest * (1 - share)
    return (count >= _ENOUGH) & (share >= _CERTAIN) & is_far


def _telling_value(name: str, x: Array, y: Events) -> Iterator[str]:
    """An input of which one value has hardly any row without the outcome, such as a treatment given after it."""
    values, codes = np.unique(x, return_inverse=True, equal_nan=True)
    count, events = np.bincount(codes), np.bincount(codes, weights=y)
    for place in np.flatnonzero(_is_apart(events, count, y.sum() - events, len(y) - count))[:1]:
        yield Suspicion(
            f"{name} is {values[place]:g} in {count[place]:,} rows, of which {events[place]:,.0f} have the outcome "
            f"({100 * y.mean():.0f} in 100 of all): it may be written after the outcome",
            (name,),
        )


def alone(cohort: Cohort) -> dict[str, float]:
    """Return the AUROC of each input by itself, whichever way round: by its values, or by whether it is there."""
    is_followed = cohort.weight > 0
    return {
        name: separates(cohort.X[is_followed, position], cohort.y[is_followed])
        for position, name in enumerate(cohort.features)
    }


def _too_good(alone: Mapping[str, float]) -> Iterator[str]:
    """Yield a Suspicion of each input that is too good alone."""
    for name, value in alone.items():
        if value >= (_AGE_ALONE if isinstance(FEATURES.get(name), Age) else _ALONE):
            yield Suspicion(f"{name} alone reaches an AUROC of {value:.2f}: it may know the outcome", (name,))


def separates(column: Array, y: Events) -> float:
    """Return the AUROC of a column by itself, whichever way round: by its values, or by whether it is there.

    A missing value counts as the middle one.
    """
    missing = np.isnan(column)
    if missing.all():
        return 0.5
    scores = (np.where(missing, np.nanmedian(column), column), missing.astype(np.float64))
    areas = [float(auroc(Ranked.of(score, y), np.ones((1, len(y))))[0]) for score in scores]
    return max(max(area, 1.0 - area) for area in areas)


def _table_content(spec: ModelSpec, cohort: Cohort) -> pd.DataFrame:
    """Return the columns of a table that tell of people: without doubles, names of a row, and texts such as an id."""
    different: dict[bytes, pd.Series] = {}
    for name in cohort.rows.columns.difference([spec.fold_column, spec.patient_column, spec.key]):
        codes, values = pd.factorize(cohort.rows[name])
        is_number = pd.api.types.is_float_dtype(cohort.rows[name])
        if is_number or len(values) < _NAMES * len(codes):
            different.setdefault(codes.tobytes(), pd.Series(codes))
    return pd.DataFrame(dict(enumerate(different.values())))


# With fewer columns a half is one or two answers, in which people are alike by chance.
_LEAST_COLUMNS = 4
# How many times as many people may be alike in a half as in both. With 3, 11 of 81,086 stays of three inputs and six
# answers of few kinds were taken for copies, and 1,600 of 2,702 planted ones were found; with all columns none and all.
_BESIDE = 3
MANY = 0.01
"""The share of copied rows from which on figures out of fold are too good."""
FEW = 20


def copied_rows(content: pd.DataFrame, patient: NDArray[Any] | None = None) -> int:
    """Return how many rows are the copy of a row of another patient, as far as this is no chance.

    Rows of a few categories are alike by chance. So the columns are split into two halves: a copy is alike in both, and
    in neither are many more people alike; by chance, people who are alike in one half differ in the other. `content`
    are columns that tell of people, without those that name a row. Without `patient` each row is a person.
    """
    kinds = content.nunique()
    # the columns with the most different values first, in turn to each half
    order = kinds[kinds > 1].sort_values(ascending=False, kind="stable").index
    if len(order) < _LEAST_COLUMNS:
        return 0
    digests = {
        half: pd.util.hash_pandas_object(content[columns], index=False).to_numpy()
        for half, columns in (("left", order[0::2]), ("right", order[1::2]))
    }
    person = np.arange(len(content)) if patient is None else patient
    rows = pd.DataFrame({"person": person, **digests}).drop_duplicates()
    left, right, both = (rows.groupby(by)["person"].transform("nunique") for by in ("left", "right", ["left", "right"]))
    is_copy = (both > 1) & (left <= _BESIDE * both) & (right <= _BESIDE * both)
    return round(float(((both - 1) / both)[is_copy].sum()))
