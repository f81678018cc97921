"""What somebody says about the columns of a table, where the table does not say it itself.

A column that a model needs is found by the name of its feature (`bun_mg_dl`). Another name, another unit, another
coding, and a column that is not there have to be declared: a table is never scored on a guess.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from msgspec import Struct

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature
from fhir.terminology.analytes import Conversion
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import BatchRefused

_T = TypeVar("_T")
DECEASED = "deceased"
"""A column of this name leaves out whom it says to have died, as the services do."""

# Names under which tables have these, beside the feature's or the condition's own.
_ALSO_CALLED = defaultdict[str, tuple[str, ...]](tuple, {"sex_male": ("sex", "gender"), "pregnancy": ("pregnant",)})


@dataclass(frozen=True, slots=True)
class TableDeclaration:
    """What is said about a table.

    `columns`: the table's column by feature or condition. `units`: the unit (UCUM) of a feature's column.
    `values`: for a column in another coding, what each of its values means, as in `{"sex": {"M": "male"}}`.
    `without`: inputs that the table does not have, which are then missing for everybody. `none_has`: conditions that
    nobody in the table has, where no column says it. `exclude`: columns whose yes leaves a person out.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    none_has: frozenset[str] = frozenset()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("without", "none_has"):
            given = getattr(self, name)
            object.__setattr__(self, name, frozenset((given,) if isinstance(given, str) else given))

    def refuse_unknown(self, manifests: Sequence[Manifest], columns: Iterable[str]) -> None:
        """Raise BatchRefused for a name that is neither an input, a condition nor a column: it would do nothing."""
        inputs = {item.name for manifest in manifests for item in manifest.features}
        conditions = {key for manifest in manifests for key in manifest.population.exclude_conditions}
        short = {FEATURES[name].analyte for name in inputs} - {""}
        input_names = {*inputs, *short, *conditions, DECEASED}
        there = set(columns)
        for what, names, choices in (
            ("columns", self.columns, input_names),
            ("units", self.units, inputs | short | there),
            ("values", self.values, input_names | there),
            ("without", self.without, inputs | short),
            ("none_has", self.none_has, conditions | {alias for key in conditions for alias in _ALSO_CALLED[key]}),
            ("exclude", self.exclude, there),
        ):
            if strange := sorted(set(names) - choices):
                raise BatchRefused(
                    f"{what} names {strange[0]!r}, which {manifests[0].id} does not know here; it knows: "
                    f"{', '.join(sorted(choices)) or 'none'}."
                )


class InputColumn(Struct, frozen=True):
    """Where one input stands in a table: its column (None: declared as not there), its unit, its coding.

    `conversion` is None where the column is in the feature's own unit.
    """

    feature: Feature
    column: str | None
    conversion: Conversion | None = None
    coding: Mapping[str, str] | None = None


class YesColumn(Struct, frozen=True):
    """A column whose yes leaves a person out: for the condition `key`, in `words` for the reader."""

    key: str
    words: str
    column: str
    coding: Mapping[str, str] | None = None


class TablePlan(Struct, frozen=True):
    """How the columns of one table are read for one model and its twin."""

    inputs: tuple[InputColumn, ...]
    leave_out: tuple[YesColumn, ...]
    unsaid: tuple[str, ...]
    """What the bedside asks of a chart and this table says of nobody."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        names = [item.column for item in self.inputs if item.column is not None]
        return tuple(dict.fromkeys([*names, *(item.column for item in self.leave_out)]))


def plan_of(manifest: Manifest, columns: Sequence[str], declared: TableDeclaration) -> TablePlan:
    """Return how a table with these columns is read for this model, whose inputs hold those of its twin.

    Raises:
        BatchRefused: a column is missing, could be two, or is in a unit that is not known for it.
    """
    if twice := sorted({name for name in columns if list(columns).count(name) > 1}):
        raise BatchRefused(f"The table has two columns called {twice[0]!r}: name them apart.")
    problems: list[str] = []
    inputs = tuple(
        item
        for feature in manifest.features
        if (item := _collected(problems, partial(_input, manifest, FEATURES[feature.name], columns, declared)))
        is not None
    )
    leave_out = [
        condition
        for key in manifest.population.exclude_conditions
        if (condition := _collected(problems, partial(_condition, manifest, key, columns, declared))) is not None
    ]
    if problems:
        raise BatchRefused("\n".join(problems))
    _refuse_nobody(manifest, inputs)
    deceased = declared.columns.get(DECEASED, DECEASED)
    if deceased in columns:
        leave_out.insert(0, YesColumn(DECEASED, "deceased", deceased, declared.values.get(deceased)))
    leave_out += [YesColumn(name, name, name, declared.values.get(name)) for name in declared.exclude]
    unsaid = () if deceased in columns else (DECEASED,)
    return TablePlan(inputs, tuple(leave_out), unsaid)


def _collected(problems: list[str], read: Callable[[], _T | None]) -> _T | None:
    """Return what is read, or keep the sentence of what is wrong: a table is told everything at once."""
    try:
        return read()
    except BatchRefused as problem:
        problems.append(str(problem))
        return None


def _refuse_nobody(manifest: Manifest, inputs: Sequence[InputColumn]) -> None:
    """BatchRefused where so many inputs are declared as not there that nobody could be scored, by a twin neither."""
    if manifest.twin is not None:
        return
    there = {item.feature.name for item in inputs if item.column is not None}
    lacking = [name for name in manifest.required.always if name not in there]
    short = [group for group in manifest.required.groups if len(there & set(group.members)) < group.at_least]
    if lacking or short:
        needed = [*lacking, *(f"{group.at_least} of {', '.join(group.members)}" for group in short)]
        raise BatchRefused(
            f"Nobody in this table could be scored by {manifest.id}: it needs {' and '.join(needed)}, which the table "
            "is declared not to have."
        )


def _input(manifest: Manifest, feature: Feature, columns: Sequence[str], declared: TableDeclaration) -> InputColumn:
    column = _column(feature.name, feature.analyte, columns, declared.columns)
    if declared.without & {feature.name, feature.analyte}:
        if column is not None:
            raise BatchRefused(f"{feature.name} is declared as not there, and the table has the column {column}.")
        return InputColumn(feature, None)
    unit = _of(declared.units, feature.name, feature.analyte, column)
    if column is None and unit is not None and feature.analyte in columns:
        column = feature.analyte
    if column is None:
        raise BatchRefused(_not_there(manifest, feature, columns))
    coding = _of(declared.values, column, feature.name, feature.analyte)
    return InputColumn(feature, column, _conversion(feature, column, unit), coding)


def _of(declared: Mapping[str, _T], *names: str | None) -> _T | None:
    return next((declared[name] for name in names if name and name in declared), None)


def _conversion(feature: Feature, column: str, unit: str | None) -> Conversion | None:
    if unit is None:
        return None
    measured = feature.measured
    if measured is None:
        raise BatchRefused(
            f"{feature.name} (column {column}) has no unit that could be another one than {feature.unit}."
        )
    conversion = measured.conversion(unit)
    if conversion is None:
        raise BatchRefused(
            f"The unit {unit!r} is not known for {feature.name} (column {column}); known are: "
            f"{', '.join(sorted(measured.units))}."
        )
    return conversion


def _column(name: str, analyte: str, columns: Sequence[str], declared: Mapping[str, str]) -> str | None:
    """Return the column of an input or a condition; None where there is none."""
    declaration = declared.get(name) or (declared.get(analyte) if analyte else None)
    if declaration is not None:
        if declaration not in columns:
            raise BatchRefused(
                f"{name} is declared to be in the column {declaration!r}, which the table does not have."
            )
        return declaration
    there = [alias for alias in (name, *_ALSO_CALLED[name]) if alias in columns]
    if len(there) > 1:
        raise BatchRefused(f"{name} could be in the column {there[0]} or {there[1]}: declare which it is.")
    return there[0] if there else None


def _condition(manifest: Manifest, key: str, columns: Sequence[str], declared: TableDeclaration) -> YesColumn | None:
    column = _column(key, "", columns, declared.columns)
    is_none = bool(declared.none_has & {key, *_ALSO_CALLED[key]})
    if column is None and not is_none:
        names = " or ".join((key, *_ALSO_CALLED[key]))
        raise BatchRefused(
            f"{manifest.id} is for {manifest.population.words}, and the table has no column {names} that says "
            f"whom to leave out. Name the column (--column {key}=NAME), or declare that it is true of nobody in the "
            f"table (--none-has {key})."
        )
    if column is not None and is_none:
        raise BatchRefused(f"{key} is declared to be true of nobody, and the table has the column {column}.")
    return None if column is None else YesColumn(key, key, column, _of(declared.values, column, key))


def _not_there(manifest: Manifest, feature: Feature, columns: Sequence[str]) -> str:
    if feature.analyte and feature.analyte in columns:
        return (
            f"The table has a column {feature.analyte} and none called {feature.name}: declare its one unit, as in "
            f"--unit {feature.analyte}={feature.unit}."
        )
    name = " or ".join((feature.name, *_ALSO_CALLED[feature.name]))
    needed = (
        "; nobody is scored without it."
        if feature.name in manifest.required.always
        else f", or declare that the table does not have it (--without {feature.name}): it is then missing for "
        "everybody."
    )
    return (
        f"{manifest.id} reads {feature.words} ({feature.unit}), and the table has no column {name}. Name the column "
        f"(--column {feature.name}=NAME){needed}"
    )
