"""Reads `NAME.model.toml`: the declaration of a model that was fitted elsewhere, as data, without Python.

It says for each input of the file its feature here and its column of the table, the outcome, and for whom the model is
(docs/adding/model.md). What is wrong with a file is one error with file, line and fault.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from fhir.record.site_file import mistake_in
from fhir.terminology.toml_file import TomlFault, read_toml
from models_onnx.artifact.manifest import MissingKind, ModelPopulation
from models_onnx.declarations import DeclaringFile
from models_onnx.errors import DeclarationError
from models_onnx.spec.cohort import (
    CohortExclusion,
    Column,
    ColumnOf,
    InputSpec,
    OutcomeSpec,
    Period,
)
from models_onnx.spec.estimators import Fitted
from models_onnx.spec.logged import LoggedModel, read_logged

SUFFIX = ".model.toml"
_Words = Annotated[str, Meta(min_length=1)]


class FileInput(Struct, frozen=True, forbid_unknown_fields=True):
    """One input of the model's file.

    `feature` is its name here, `called` its name in the file, `column` that of the table; both are the feature's where
    they are not given. Where file and table have another unit, their number times `factor` is in the feature's. A text
    of the table is the number in `values`; `is_text` where the file takes the text itself. Nobody is scored without a
    `required` input.
    """

    feature: str
    called: str | None = None
    column: str | None = None
    factor: float = 1.0
    values: dict[str, float] = {}
    is_text: bool = False
    required: bool = False

    @property
    def of_table(self) -> ColumnOf:
        """Return how the input is read from the table."""
        return _column(self.column or self.feature, self.values or None, self.factor)


class FileAxis(Struct, frozen=True, forbid_unknown_fields=True):
    """Groups of people by a column: its texts as they are or renamed by `values`, or a number in `bands`."""

    column: str
    values: dict[str, str] = {}
    bands: tuple[float, ...] = ()

    @property
    def of_table(self) -> ColumnOf:
        """Return how the groups are read from the table."""
        return bands_of(self.column, self.bands) if self.bands else _texts(self.column, self.values)


class FileOutcome(Struct, frozen=True, forbid_unknown_fields=True):
    """The 0/1 column of the table, its words on a card, and within how many days it counts."""

    column: str
    words: _Words
    horizon_days: float


class ModelFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one file declares; the members are those of ModelSpec and Fitted.

    `source` may be a folder that MLflow has logged: its run and metrics are said on the card, and never judged.
    """

    source: str
    trained_on: str = ""
    version: str = "0.1.0"
    title: _Words
    outcome: FileOutcome
    inputs: Annotated[tuple[FileInput, ...], Meta(min_length=1)] = field(name="input")
    table: str
    patient: str
    row: str | None = None
    period: _Words
    population: str
    age_low: Annotated[int, Meta(ge=0)] = 0
    intended_use: _Words
    users: _Words
    decision_role: str = "informs"
    not_for: tuple[str, ...]
    cautions: tuple[str, ...] = ()
    capacity: float = 0.1
    capacities: tuple[float, ...] = (0.05, 0.1, 0.2)
    subgroups: dict[str, FileAxis] = {}
    needs: dict[str, str] = {}
    """Columns of need, for the audit of the label, by the name that the card's `label.audit.need` uses."""
    groups: dict[str, tuple[str, ...]] = {}
    answer: Literal["probability", "log odds"] = "probability"
    missing_inputs: MissingKind | None = None
    never_inputs: tuple[str, ...] = ()
    recalibration: Period | None = None


_AS_IT_STANDS = (
    "version", "title", "intended_use", "users", "decision_role", "not_for", "cautions", "table", "period", "capacity",
    "capacities", "missing_inputs", "recalibration",
)  # fmt: skip
"""The members that a ModelSpec has in the same form."""


def model_files(folder: Path) -> list[DeclaringFile]:
    """Return the files NAME.model.toml of a folder, by name."""
    return [
        DeclaringFile(path.name.removesuffix(SUFFIX), path, str(path)) for path in sorted(folder.glob(f"*{SUFFIX}"))
    ]


def read_model_file(file: DeclaringFile) -> dict[str, Any]:
    """Return the members of the ModelSpec that a file declares.

    Raises:
        DeclarationError: the file cannot be read, or a member is missing, wrong or unknown.
    """
    try:
        document = read_toml(file.path)
        declared = msgspec.convert(document, ModelFile)
    except TomlFault as error:
        raise file.fault(f"the file {error}") from error
    except msgspec.ValidationError as error:
        text, member = mistake_in(document, ModelFile, error)
        raise file.fault(f"{text}. docs/adding/model.md lists the members", member) from error
    try:
        return _members(declared, file.name, file.path.parent)
    except DeclarationError as fault:
        raise file.fault(fault.text, fault.about) from fault


def _members(declared: ModelFile, model_id: str, folder: Path) -> dict[str, Any]:
    names = tuple(item.feature for item in declared.inputs)
    return {
        **{name: getattr(declared, name) for name in _AS_IT_STANDS},
        "id": model_id,
        "outcome": OutcomeSpec(declared.outcome.column, declared.outcome.words, declared.outcome.horizon_days),
        "population": ModelPopulation(declared.population, declared.age_low),
        "cohort_words": declared.population,
        "exclusions": tuple(_too_young(declared)),
        "inputs": tuple(InputSpec(name) for name in names),
        "derived": {item.feature: item.of_table for item in declared.inputs},
        "always_required": tuple(item.feature for item in declared.inputs if item.required),
        "estimator": _fitted(declared, folder),
        "reference_words": declared.population,
        "simple_inputs": tuple(name for name in ("age_years", "sex_male") if name in names) or names[:1],
        "subgroups": {axis: of.of_table for axis, of in declared.subgroups.items()},
        "needs": {name: _column(column, None, 1.0) for name, column in declared.needs.items()},
        "patient_column": declared.patient,
        "row_column": declared.row,
        "never_inputs": (*declared.never_inputs, declared.outcome.column),
    }


def _fitted(declared: ModelFile, folder: Path) -> Fitted:
    source, trained_on = declared.source, declared.trained_on
    if (folder / source).is_dir():
        logged = read_logged(folder / source)
        source, trained_on = str(logged.file.relative_to(folder)), _with_run(trained_on, logged)
    return Fitted(
        source,
        trained_on=trained_on,
        columns=tuple(item.called or item.feature for item in declared.inputs),
        groups=declared.groups,
        answer=declared.answer,
        texts={item.feature: item.values for item in declared.inputs if item.values and item.is_text},
        factors={item.feature: item.factor for item in declared.inputs if item.factor != 1.0},
        folder=folder,
    )


def _with_run(trained_on: str, logged: LoggedModel) -> str:
    figures = ", ".join(f"{name} {value:g}" for name, value in sorted(logged.metrics.items()))
    run = f"MLflow run {logged.run_id}{f', which measured {figures}' if figures else ''}"
    return f"{trained_on} ({run})" if trained_on.strip() else run


def _too_young(declared: ModelFile) -> list[CohortExclusion]:
    age = next((item.of_table for item in declared.inputs if item.feature == "age_years"), None)
    if age is None or not declared.age_low:
        return []
    low = declared.age_low
    words = f"younger than {low}"
    return [CohortExclusion(f"under-{low}", words, lambda table: age(table) < low, "outside-population")]


def _column(column: str, values: Mapping[str, float] | None, factor: float) -> ColumnOf:
    def read(table: Any) -> Column:
        cells = table[column]
        return cells * factor if values is None else cells.map(cell_text).map(dict(values)).astype(float)

    return read


def _texts(column: str, values: Mapping[str, str]) -> ColumnOf:
    def read(table: Any) -> Column:
        texts = table[column].map(cell_text)
        return texts.map(dict(values)) if values else texts

    return read


def bands_of(column: str, bands: tuple[float, ...]) -> ColumnOf:
    """Return how the groups of a number are read from the table: "18-44", "45 and over"; none where it is missing."""

    def band(value: float) -> str | None:
        lower = [low for low in bands if value >= low]
        if not lower:
            return f"under {bands[0]:g}" if value == value else None
        higher = bands[len(lower) :]
        return f"{lower[-1]:g}-{higher[0] - 1:g}" if higher else f"{lower[-1]:g} and over"

    return lambda table: table[column].map(band)


def cell_text(cell: Any) -> str | None:
    """Return a cell as it stands in the table; a whole number without decimals, an empty cell as nothing."""
    if cell is None or cell != cell:
        return None
    return f"{cell:g}" if isinstance(cell, float) else str(cell).strip()
