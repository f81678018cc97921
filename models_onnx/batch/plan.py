"""Where the inputs of a model stand in a table.

A column that a model needs is found by the name of its feature (`bun_mg_dl`). Another name, another unit, another
coding, and a column that is not there are said by a view (tables.py): a table is never scored on a guess.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import BatchRefused

DECEASED = "deceased"
"""A column of this name leaves out whom it says to have died, as the services do."""

# Names under which tables have these, beside the feature's or the condition's own.
_ALSO_CALLED = defaultdict[str, tuple[str, ...]](tuple, {"sex_male": ("sex", "gender"), "pregnancy": ("pregnant",)})


def view_with(column: str, content: str) -> str:
    """Return the view that gives a column of the table another content, in words for the reader."""
    return f"SELECT * REPLACE ({content} AS {column}) FROM rows"  # noqa: S608 - words for the reader


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
    read = [_input(manifest, FEATURES[item.name], columns) for item in manifest.features]
    leave_out = [_condition(manifest, key, columns) for key in manifest.population.exclude_conditions]
    unclear = [item for item in (*read, *leave_out) if isinstance(item, _Unclear)]
    if unclear:
        raise BatchRefused(_all_unclear(unclear))
    inputs = tuple(item for item in read if isinstance(item, InputColumn))
    conditions = tuple(item for item in leave_out if isinstance(item, tuple))
    deceased = [(DECEASED, DECEASED)] if DECEASED in columns else []
    others = [(name, name) for name in exclude]
    return TablePlan(inputs, (*deceased, *conditions, *others), () if deceased else (DECEASED,))


class _Unclear(Struct, frozen=True):
    """What a table does not say, and the column of a view that would say it."""

    sentence: str
    column: str = ""


def _all_unclear(unclear: Sequence[_Unclear]) -> str:
    """Tell everything at once, and write the view that is missing."""
    sentences = [item.sentence for item in unclear]
    if columns := ", ".join(item.column for item in unclear if item.column):
        view = f"SELECT *, {columns} FROM rows"  # noqa: S608 - words for the reader
        sentences.append(
            f"Say what the columns mean in a view (--view): {view}. NULL in place of a name says that the table does "
            "not have a value, so that it is missing for everybody; false says that nobody has a condition."
        )
    return "\n".join(sentences)


def _all(columns: Iterable[str]) -> str:
    return ", ".join(sorted(columns)) or "none"


def _input(manifest: Manifest, feature: Feature, columns: Sequence[str]) -> InputColumn | _Unclear:
    there = _columns_of(feature.name, columns)
    if len(there) == 1:
        return InputColumn(feature, there[0])
    if there:
        return _two(feature.name, there)
    if feature.analyte and feature.analyte in columns:
        return _Unclear(
            f"The table has a column {feature.analyte} and none called {feature.name}, so its unit is not known.",
            f"{feature.name}({feature.analyte}, 'UNIT') AS {feature.name}",
        )
    name = " or ".join((feature.name, *_ALSO_CALLED[feature.name]))
    needed = "; nobody is scored without it" if feature.name in manifest.required.always else ""
    return _Unclear(
        f"{manifest.id} reads {feature.words} ({feature.unit}), and the table has no column {name}{needed}.",
        f"NAME AS {feature.name}",
    )


def _condition(manifest: Manifest, key: str, columns: Sequence[str]) -> tuple[str, str] | _Unclear:
    there = _columns_of(key, columns)
    if len(there) == 1:
        return key, there[0]
    if there:
        return _two(key, there)
    names = " or ".join((key, *_ALSO_CALLED[key]))
    return _Unclear(
        f"{manifest.id} is for {manifest.population.words}, and the table has no column {names} that says whom to "
        "leave out.",
        f"NAME AS {key}",
    )


def _columns_of(name: str, columns: Sequence[str]) -> list[str]:
    """Return the columns that may be an input or a condition."""
    return [alias for alias in (name, *_ALSO_CALLED[name]) if alias in columns]


def _two(name: str, there: Sequence[str]) -> _Unclear:
    return _Unclear(f"{name} could be in the column {there[0]} or {there[1]}: leave one out in a view (--view).")
