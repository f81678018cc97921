"""Where the inputs of a model stand in a table.

A column that a model needs is found by the name of its feature (`bun_mg_dl`). Another name, another unit, another
coding, and a column that is not there are said by a view (tables.py): a table is never scored on a guess.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import BatchRefused

_T = TypeVar("_T")
DECEASED = "deceased"
"""A column of this name leaves out whom it says to have died, as the services do."""

# Names under which tables have these, beside the feature's or the condition's own.
_ALSO_CALLED = defaultdict[str, tuple[str, ...]](tuple, {"sex_male": ("sex", "gender"), "pregnancy": ("pregnant",)})


class InputColumn(Struct, frozen=True):
    """The column in which one input stands."""

    feature: Feature
    column: str


class TablePlan(Struct, frozen=True):
    """How the columns of one table are read for one model and its twin."""

    inputs: tuple[InputColumn, ...]
    leave_out: tuple[tuple[str, str], ...]
    """Conditions, in words for the reader, each with the column whose yes leaves a person out."""
    unsaid: tuple[str, ...]
    """What the bedside asks of a chart and this table says of nobody."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        return tuple(dict.fromkeys([*(item.column for item in self.inputs), *(name for _, name in self.leave_out)]))


def plan_of(manifest: Manifest, columns: Sequence[str], exclude: Sequence[str] = ()) -> TablePlan:
    """Return how a table with these columns is read for this model, whose inputs hold those of its twin.

    `exclude` are columns whose yes leaves a person out, beside the conditions that the model's population leaves out.

    Raises:
        BatchRefused: a column is missing, or could be two.
    """
    if twice := sorted({name for name in columns if list(columns).count(name) > 1}):
        raise BatchRefused(f"The table has two columns called {twice[0]!r}: name them apart.")
    if strange := sorted(set(exclude) - set(columns)):
        raise BatchRefused(
            f"The table has no column {strange[0]!r} that says whom to leave out; it has: {_all(columns)}."
        )
    problems: list[str] = []
    inputs = _collected(
        problems, (partial(_input, manifest, FEATURES[item.name], columns) for item in manifest.features)
    )
    conditions = manifest.population.exclude_conditions
    leave_out = _collected(problems, (partial(_condition, manifest, key, columns) for key in conditions))
    if problems:
        raise BatchRefused("\n".join(problems))
    deceased = [(DECEASED, DECEASED)] if DECEASED in columns else []
    others = [(name, name) for name in exclude]
    return TablePlan(tuple(inputs), (*deceased, *leave_out, *others), () if deceased else (DECEASED,))


def _all(columns: Iterable[str]) -> str:
    return ", ".join(sorted(columns)) or "none"


def _collected(problems: list[str], readings: Iterable[Callable[[], _T]]) -> list[_T]:
    """Return what is read, and keep the sentences of what is wrong: a table is told everything at once."""
    values = []
    for read in readings:
        try:
            values.append(read())
        except BatchRefused as problem:
            problems.append(str(problem))
    return values


def _input(manifest: Manifest, feature: Feature, columns: Sequence[str]) -> InputColumn:
    column = _column(feature.name, columns)
    if column is None:
        raise BatchRefused(_not_there(manifest, feature, columns))
    return InputColumn(feature, column)


def _column(name: str, columns: Sequence[str]) -> str | None:
    """Return the column of an input or a condition; None where there is none."""
    there = [alias for alias in (name, *_ALSO_CALLED[name]) if alias in columns]
    if len(there) > 1:
        raise BatchRefused(f"{name} could be in the column {there[0]} or {there[1]}: keep one of them (--view).")
    return there[0] if there else None


def _condition(manifest: Manifest, key: str, columns: Sequence[str]) -> tuple[str, str]:
    column = _column(key, columns)
    if column is None:
        names = " or ".join((key, *_ALSO_CALLED[key]))
        raise BatchRefused(
            f"{manifest.id} is for {manifest.population.words}, and the table has no column {names} that says whom to "
            f"leave out. Name the column {_in_view(f'NAME AS {key}')}, or false AS {key} where it is true of nobody in "
            "the table."
        )
    return key, column


def _not_there(manifest: Manifest, feature: Feature, columns: Sequence[str]) -> str:
    if feature.analyte and feature.analyte in columns:
        column = f"{feature.name}({feature.analyte}, '{feature.unit}') AS {feature.name}"
        return (
            f"The table has a column {feature.analyte} and none called {feature.name}: say its unit {_in_view(column)}."
        )
    name = " or ".join((feature.name, *_ALSO_CALLED[feature.name]))
    needed = (
        "; nobody is scored without it."
        if feature.name in manifest.required.always
        else f", or NULL AS {feature.name} where the table does not have it: it is then missing for everybody."
    )
    return (
        f"{manifest.id} reads {feature.words} ({feature.unit}), and the table has no column {name}. Name the column "
        f"{_in_view(f'NAME AS {feature.name}')}{needed}"
    )


def _in_view(column: str) -> str:
    return f"in a view (--view): SELECT *, {column} FROM rows"  # noqa: S608 - words for the reader
