"""`load(...)` gives a model that scores Arrow tables: a model with its twin, under the rules of the bedside."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.keys import Keys
from models_onnx.artifact.manifest import Manifest
from models_onnx.batch.columns import arrow, column_of, read_input, read_yes
from models_onnx.batch.declaration import TableDeclaration, TablePlan, plan_of
from models_onnx.batch.scoring import Rows, score_rows
from models_onnx.declarations import add_features
from models_onnx.errors import ArtifactRefused, BatchRefused, UnknownModel
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.serving.runtime import Model

ROWS_AT_ONCE = 20_000
NOTHING_DECLARED = TableDeclaration()
Origin: TypeAlias = tuple[str, Path, Keys | None]
"""What a model was loaded by: name, folder, and the keys that may have signed it."""
TEXT_COLUMNS = ("model", "reason", "reason_text", "not_used")
PLAIN_COLUMNS = ("probability", "percentile", *TEXT_COLUMNS)


class BatchModel:
    """A model with its twin, ready for tables. Thread-safe; sent to another process it loads and checks its own."""

    def __init__(self, model: Model, twin: Model | None, origin: Origin | None = None) -> None:
        self.model, self.twin, self._origin = model, twin, origin
        self.features = model.features
        self.explaining = ("base", *(f"contribution_{name}" for name in model.features))
        """The columns of an answer beside `PLAIN_COLUMNS`."""

    def __reduce__(self) -> tuple[Callable[..., "BatchModel"], Origin]:
        """Return how another process makes the same: by loading it."""
        if self._origin is None:
            raise TypeError("a BatchModel that load() did not give cannot be sent to another process")
        return load, self._origin

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the model and its twin by id."""
        return {model.manifest.id: model.manifest for model in (self.model, self.twin) if model is not None}

    def plan(self, columns: Sequence[str], declared: TableDeclaration = NOTHING_DECLARED) -> TablePlan:
        """Return how a table with these columns is read; BatchRefused says what has to be declared first."""
        declared.refuse_unknown(tuple(self.manifests.values()), columns)
        return plan_of(self.model.manifest, columns, declared)

    def score(self, table: Any, declared: TableDeclaration = NOTHING_DECLARED) -> Any:
        """Return an Arrow table with one row for each, in order: probability, percentile, contributions, reason.

        `table` is an Arrow Table or RecordBatch, or what Arrow makes one of: a frame of pandas or polars, or lists by
        the name of their column. The columns of the answer are `probability` (0 to 1), `percentile` (0 to 100, of the
        reference cohort), `model` (who scored: the model or its twin), `reason` and `reason_text` where there is no
        score, `not_used` (inputs whose value was no exact number), `base`, and a
        `contribution_` of every input on the scale of the link.

        Raises:
            BatchRefused: a column is missing or in a coding or unit that nobody declared.
        """
        pyarrow = arrow()
        try:
            rows = table if isinstance(table, pyarrow.RecordBatch) else pyarrow.table(table)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, TypeError, ValueError) as error:
            raise BatchRefused(
                f"A {type(table).__name__} that Arrow makes no table of: give an Arrow Table, a frame of pandas or "
                "polars, or columns of one length, each of one kind of values."
            ) from error
        plan = self.plan(rows.schema.names, declared)
        starts = range(0, max(rows.num_rows, 1), ROWS_AT_ONCE)
        return pyarrow.concat_tables([self.scored(plan, rows.slice(start, ROWS_AT_ONCE)) for start in starts])

    def scored(self, plan: TablePlan, rows: Any) -> Any:
        """Return the answers for an Arrow Table or RecordBatch of at most some 20,000 rows, as an Arrow table."""
        pyarrow = arrow()
        read, not_used = _read_rows(plan, rows)
        scored = score_rows(self.model, self.twin, read)
        by_name: dict[str, NDArray[Any]] = {"not_used": not_used}
        by_name |= {f"contribution_{name}": scored.contributions[:, n] for n, name in enumerate(self.features)}
        columns = {
            name: by_name[name] if name in by_name else getattr(scored, name)
            for name in (*PLAIN_COLUMNS, *self.explaining)
        }
        types = {name: pyarrow.string() if name in TEXT_COLUMNS else pyarrow.float64() for name in columns}
        return pyarrow.table(
            {name: pyarrow.array(values, types[name], from_pandas=True) for name, values in columns.items()}
        )


def load(name: str, folder: Path = ARTIFACTS, keys: Keys | None = None) -> BatchModel:
    """Return the model of this id, `id@version` or `id@digest`, with its twin, checked as the server checks it.

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
        return BatchModel(model, None, origin)
    try:
        return BatchModel(model, load_model(twin.id, folder, keys), origin)
    except (ArtifactRefused, UnknownModel):
        return BatchModel(model, None, origin)  # as the server: without its twin the model goes on


def _read_rows(plan: TablePlan, rows: Any) -> tuple[Rows, NDArray[np.object_]]:
    """Return the rows to score, and for each the inputs that were not used because their value was no exact number."""
    columns = {name: column_of(rows.column(name), name) for name in plan.columns}
    inputs = np.full((rows.num_rows, len(plan.inputs)), np.nan)
    implausible = np.zeros(inputs.shape, dtype=np.bool_)
    not_used = np.full(rows.num_rows, "", dtype=object)
    for index, source in enumerate(plan.inputs):
        if source.column is None:
            continue
        inputs[:, index], unreadable, implausible[:, index] = read_input(source, columns[source.column])
        for row in np.flatnonzero(unreadable).tolist():
            not_used[row] = f"{not_used[row]} {source.feature.name}".strip()
    left_out = {rule.words: read_yes(rule, columns[rule.column]) for rule in plan.leave_out}
    return Rows(inputs, implausible, left_out), not_used


def with_ids(rows: Any, column: str, answers: Any, names: Sequence[str]) -> Any:
    """Return these columns of the answers behind the column `id`, which holds what names the rows, as texts.

    Raises:
        BatchRefused: the rows have no such column, or it holds no names.
    """
    pyarrow = arrow()
    if column not in rows.schema.names:
        raise BatchRefused(f"The table has no column {column!r} to name its rows by.")
    ids = rows.column(column)
    if pyarrow.types.is_nested(ids.type) or pyarrow.types.is_binary(ids.type):
        raise BatchRefused(f"The column {column} holds lists, structures or bytes: a text or a number names a row.")
    return answers.select(list(names)).add_column(0, "id", ids.cast(pyarrow.string()))
