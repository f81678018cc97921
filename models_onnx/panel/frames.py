"""`load(...)` gives a model that scores frames of pandas, polars or Arrow, and plain columns by name.

None of these libraries is imported or needed: a frame is asked in its own words, and the answer is of its own type.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec import UnsetType

from models_onnx.artifact.keys import Keys
from models_onnx.artifact.manifest import Manifest
from models_onnx.discovery import add_features
from models_onnx.errors import ArtifactRefused, PanelRefused, UnknownModel
from models_onnx.panel.declaration import InputColumn, TableDeclaration, TablePlan, plan_of
from models_onnx.panel.scoring import Rows, ScoredRows, score_rows
from models_onnx.panel.values import Values, read_input, read_yes
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.serving.runtime import Model

AT_ONCE = 20_000
NOTHING_DECLARED = TableDeclaration()
Origin: TypeAlias = tuple[str, Path, Keys | None]
"""What a model was loaded by: name, folder, and the keys that may have signed it."""
PLAIN_COLUMNS = ("probability", "percentile", "model", "reason", "reason_text", "not_used", "base")


class PanelModel:
    """A model with its twin, ready for tables. Thread-safe; sent to another process it loads and checks its own."""

    def __init__(self, model: Model, twin: Model | None, origin: Origin | None = None) -> None:
        self.model, self.twin, self._origin = model, twin, origin
        self.features = model.features
        has_interval = any(not isinstance(item.interval, UnsetType) for item in self.manifests.values())
        bounds = ("interval_low", "interval_high") if has_interval else ()
        self.explained = (*bounds, *(f"contribution_{name}" for name in model.features))
        """The columns of an answer beside `PLAIN_COLUMNS`."""

    def __reduce__(self) -> tuple[Callable[..., "PanelModel"], Origin]:
        """Return how another process makes the same: by loading it."""
        if self._origin is None:
            raise TypeError("a PanelModel that load() did not give cannot be sent to another process")
        return load, self._origin

    @property
    def id(self) -> str:
        """The id of the model."""
        return self.model.manifest.id

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the model and its twin by id."""
        return {model.manifest.id: model.manifest for model in (self.model, self.twin) if model is not None}

    def plan(self, columns: Sequence[str], declared: TableDeclaration = NOTHING_DECLARED) -> TablePlan:
        """Returns how a table with these columns is read; PanelRefused says what has to be declared first."""
        declared.refuse_unknown(tuple(self.manifests.values()), columns)
        return plan_of(self.model.manifest, columns, declared)

    def score(self, frame: Any, declared: TableDeclaration = NOTHING_DECLARED) -> Any:
        """A frame of the same kind with one row for each, in order: probability, percentile, contributions, reason.

        `frame` is a pandas or polars DataFrame, an Arrow Table or RecordBatch, or a dictionary of columns. The columns
        of the answer are `probability` (0 to 1), `percentile` (0 to 100, of the reference cohort), `model` (who scored:
        the model or its twin), `reason` and `reason_text` where there is no score, `not_used` (inputs whose value was
        no exact number), `base` and a `contribution_` of every input on the scale of the link, and before these
        `interval_low` and `interval_high`, the 95 % bounds of the risk, where the model has them.

        Raises:
            PanelRefused: a column is missing or in a coding or unit that nobody declared.
        """
        names = columns_of(frame)
        plan = self.plan(names, declared)
        return _like(frame, self.answers(plan, {name: values_of(frame, name) for name in plan.columns}))

    def answers(self, plan: TablePlan, columns: Mapping[str, Values]) -> dict[str, Any]:
        """The columns of the answer by name for these columns of values; not a number where there is no score."""
        count = len(next(iter(columns.values())))
        parts = [self._part(plan, columns, start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE)]
        if not parts:
            parts = [self._part(plan, columns, 0, 0)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _part(self, plan: TablePlan, columns: Mapping[str, Values], start: int, end: int) -> dict[str, Any]:
        part = {name: values[start:end] for name, values in columns.items()}
        rows, not_used = read_rows(plan, part)
        scored = score_rows(self.model, self.twin, rows) if end > start else _no_rows(len(self.features))
        plain = {name: getattr(scored, name) for name in PLAIN_COLUMNS if name != "not_used"}
        plain["not_used"] = not_used
        parts = {f"contribution_{name}": scored.contributions[:, n] for n, name in enumerate(self.features)}
        parts |= {"interval_low": scored.interval_low, "interval_high": scored.interval_high}
        return {**{name: plain[name] for name in PLAIN_COLUMNS}, **{name: parts[name] for name in self.explained}}


def load(name: str, folder: Path = ARTIFACTS, keys: Keys | None = None) -> PanelModel:
    """Returns the model of this id, `id@version` or `id@digest`, with its twin, checked as the server checks it.

    The features that a folder of one's own declares (features.toml) are known from then on.

    Raises:
        UnknownModel: there is none.
        ArtifactRefused: its files must not be served, or those of a third party have no ranges to be held to.
        DeclarationError: features.toml of the folder is wrong.
    """
    origin = (name, folder, keys)
    if folder != ARTIFACTS:
        add_features(folder)
    model = load_model(name, folder, keys)
    twin = model.manifest.twin
    if twin is None:
        return PanelModel(model, None, origin)
    try:
        return PanelModel(model, load_model(twin.id, folder, keys), origin)
    except (ArtifactRefused, UnknownModel):
        return PanelModel(model, None, origin)  # as the server: without its twin the model goes on


def read_rows(plan: TablePlan, columns: Mapping[str, Values]) -> tuple[Rows, Any]:
    """Returns the rows to score, and for each the inputs that were not used because their value was no exact number."""
    count = len(next(iter(columns.values())))
    inputs = np.full((count, len(plan.inputs)), np.nan)
    implausible = np.zeros(inputs.shape, dtype=np.bool_)
    not_used = np.full(count, "", dtype=object)
    for index, source in enumerate(plan.inputs):
        if source.column is None:
            continue
        units = columns[source.unit_column] if source.unit_column is not None else None
        inputs[:, index], unreadable, implausible[:, index] = read_input(source, columns[source.column], units)
        _name_unreadable(not_used, unreadable, source)
    left_out = {rule.words: read_yes(rule, columns[rule.column]) for rule in plan.leave_out}
    return Rows(inputs, implausible, left_out), not_used


def _name_unreadable(not_used: Any, unreadable: Any, source: InputColumn) -> None:
    for row in np.flatnonzero(unreadable).tolist():
        not_used[row] = f"{not_used[row]} {source.feature.name}".strip()


def _no_rows(inputs: int) -> ScoredRows:
    nothing, texts = np.empty(0), np.empty(0, dtype=object)
    return ScoredRows(nothing, nothing, texts, texts, texts, nothing, np.empty((0, inputs)), nothing, nothing)


def columns_of(frame: Any) -> list[str]:
    """Returns the names of the columns of a frame, in their order; PanelRefused where this is no frame."""
    if isinstance(frame, Mapping):
        lengths = {len(values) for values in frame.values()}
        if len(lengths) > 1:
            raise PanelRefused("The columns are of different lengths: each row needs a value or None in every column.")
        names = list(frame)
    elif _is(frame, "pyarrow"):
        names = list(frame.schema.names)
    elif hasattr(frame, "collect") and _is(frame, "polars"):
        raise PanelRefused("A LazyFrame has no rows yet: call its collect() first, or give cds-hooks score the file.")
    elif hasattr(frame, "columns"):
        names = [str(name) for name in frame.columns]
    else:
        raise PanelRefused(
            f"A {type(frame).__name__} is no table: give a pandas or polars DataFrame, an Arrow Table, or a dictionary "
            "of columns."
        )
    if not names:
        raise PanelRefused("The table has no columns.")
    return names


def values_of(frame: Any, name: str) -> Values:
    """Returns one column of a frame: a numpy array, or a list with None where there is no value."""
    if isinstance(frame, Mapping):
        values = frame[name]
        return values if isinstance(values, np.ndarray) else list(values)
    if _is(frame, "pyarrow"):
        column = frame.column(name)
        if str(column.type) in ("double", "float", "int64", "int32", "int16", "int8"):
            numbers: Values = np.asarray(column.to_numpy(**({} if _is_chunked(column) else {"zero_copy_only": False})))
            return numbers
        texts: list[Any] = column.to_pylist()
        return texts
    column_values: Values = np.asarray(frame[name].to_numpy())
    return column_values


def _is_chunked(column: Any) -> bool:
    return type(column).__name__ == "ChunkedArray"


def _is(frame: Any, library: str) -> bool:
    return type(frame).__module__.partition(".")[0] == library


def _like(frame: Any, answers: dict[str, Any]) -> Any:
    """Returns the answers as a frame of the same kind; a pandas frame keeps its index."""
    if isinstance(frame, Mapping):
        return answers
    if _is(frame, "pyarrow"):
        import pyarrow

        arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in answers.items()}
        return type(frame).from_pydict(arrays)
    if hasattr(frame, "index") and not _is(frame, "polars"):
        return type(frame)(answers, index=frame.index)
    return type(frame)(dict(_with_nulls(answers)))


def _with_nulls(answers: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    for name, values in answers.items():
        is_number = values.dtype.kind == "f"
        yield name, [None if is_number and value != value else value for value in values.tolist()]
