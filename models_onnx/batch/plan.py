"""Where the inputs of a model stand in a table.

A column that a model needs is found by the name of its feature (`bun_mg_dl`). Another name, another unit, another
coding, and a column that is not there are said by a view (tables.py): a table is never scored on a guess.
"""

from collections import defaultdict
from collections.abc import Sequence

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


class TablePlan(Struct, frozen=True):
    """How the columns of one table are read for one model and its twin."""

    inputs: tuple[tuple[Feature, str], ...]
    """The inputs of the model, each with the column in which it stands."""
    leave_out: tuple[tuple[str, str], ...]
    """Conditions, in words for the reader, each with the column whose yes leaves a person out."""
    unsaid: tuple[str, ...]
    """What the bedside asks of a chart and this table says of nobody."""
    identity: str | None = None
    """The column that names a row."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        named = [] if self.identity is None else [self.identity]
        return tuple(dict.fromkeys([*named, *(name for _, name in self.inputs), *(name for _, name in self.leave_out)]))


def plan_of(
    manifest: Manifest, columns: Sequence[str], exclude: Sequence[str] = (), identity: str | None = None
) -> TablePlan:
    """Return how a table with these columns is read for this model, whose inputs hold those of its twin.

    `exclude` are columns whose yes leaves a person out, beside the conditions that the model's population leaves out;
    `identity` is the column that names a row.

    Raises:
        BatchRefused: a column is missing, or could be two; all that is open is told at once, with the view to write.
    """
    if twice := sorted({name for name in columns if list(columns).count(name) > 1}):
        raise BatchRefused(f"The table has two columns called {twice[0]!r}: name them apart.")
    has = ", ".join(sorted(columns)) or "none"
    if identity is not None and identity not in columns:
        raise BatchRefused(
            f"The table has no column {identity!r}: name the one that names a row with --id; it has: {has}."
        )
    if strange := sorted(set(exclude) - set(columns)):
        raise BatchRefused(f"The table has no column {strange[0]!r} that says whom to leave out; it has: {has}.")
    search = _Search(manifest, columns)
    inputs = tuple((feature, search.input(feature)) for feature in (FEATURES[item.name] for item in manifest.features))
    conditions = tuple((key, search.condition(key)) for key in manifest.population.exclude_conditions)
    search.refuse()
    deceased = [(DECEASED, DECEASED)] if DECEASED in columns else []
    others = [(name, name) for name in exclude]
    return TablePlan(inputs, (*deceased, *conditions, *others), () if deceased else (DECEASED,), identity)


class _Search:
    """Looks for columns, and collects what a table leaves open with the columns of a view that would say it."""

    def __init__(self, manifest: Manifest, columns: Sequence[str]) -> None:
        self._manifest, self._columns = manifest, columns
        self._sentences: list[str] = []
        self._view: list[str] = []

    def input(self, feature: Feature) -> str:
        """Return the column of this input; "" where that is open."""
        if feature.analyte and feature.analyte in self._columns:
            sentence = (
                f"The table has a column {feature.analyte} and none called {feature.name}: its unit is not known."
            )
            return self._column(feature.name, sentence, f"{feature.name}({feature.analyte}, 'UNIT')")
        needed = "; nobody is scored without it" if feature.name in self._manifest.required.always else ""
        sentence = (
            f"{self._manifest.id} reads {feature.words} ({feature.unit}), and the table has no column NAMES{needed}."
        )
        return self._column(feature.name, sentence)

    def condition(self, key: str) -> str:
        """Return the column of a condition that leaves people out; "" where that is open."""
        whom = self._manifest.population.words
        sentence = f"{self._manifest.id} is for {whom}, and the table has no column NAMES that says whom to leave out."
        return self._column(key, sentence)

    def _column(self, name: str, absent: str, content: str = "NAME") -> str:
        names = (name, *_ALSO_CALLED[name])
        there = [alias for alias in names if alias in self._columns]
        if not there:
            self._sentences.append(absent.replace("NAMES", " or ".join(names)))
            self._view.append(f"{content} AS {name}")
        elif len(there) > 1:
            could = f"{name} could be in the column {there[0]} or {there[1]}"
            self._sentences.append(f"{could}: leave one out in a view (--view).")
        return there[0] if there else ""

    def refuse(self) -> None:
        """Tell everything at once, and write the view that is missing."""
        if self._view:
            view = f"SELECT *, {', '.join(self._view)} FROM rows"  # noqa: S608 - words for the reader
            self._sentences.append(
                f"Say what the columns mean in a view (--view): {view}. NULL in place of a name says that the table "
                "does not have a value, so that it is missing for everybody; false says that nobody has a condition."
            )
        if self._sentences:
            raise BatchRefused("\n".join(self._sentences))
