"""`load(...)` gives a model that scores Arrow tables: a model with its twin, under the rules of the bedside.

The order of the rules is that of the services: who has died, the age, the conditions that the population leaves out,
what is missing (there the twin takes over), what is out of range.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.record.refusals import WhyNot
from models_onnx.artifact.keys import Keys
from models_onnx.batch.columns import ROWS_AT_ONCE, Array, Mask, arrow, column_of, read_input, read_yes
from models_onnx.batch.plan import TablePlan, plan_of
from models_onnx.declarations import add_features
from models_onnx.errors import ArtifactRefused, BatchRefused, UnknownModel
from models_onnx.serving.eligibility import (
    OUT_OF_RANGE,
    OUTSIDE_POPULATION,
    WHAT_IS_MISSING,
    not_in_population,
    not_scored,
)
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.serving.runtime import Model

Texts = NDArray[np.object_]
_AGE = "age_years"


class Rows(Struct, frozen=True):
    """Rows to score: the inputs [N, F] (NaN missing), which of them are implausible, and whom a condition leaves out.

    `left_out` has a mask of the rows by the condition in words, in the order in which they are asked.
    """

    inputs: Array
    implausible: Mask
    left_out: Mapping[str, Mask]


class ScoredRows(Struct, frozen=True):
    """One answer per row: probability and percentile NaN and a reason where there is no score.

    `model` names who scored; `contributions` [N, F] are in the order of the model's features, NaN where the model that
    scored does not read the input.
    """

    probability: Array
    percentile: Array
    reason: Texts
    reason_text: Texts
    model: Texts
    base: Array
    contributions: Array


def score_rows(model: Model, twin: Model | None, rows: Rows) -> ScoredRows:
    """Return the answers for these rows, in their order."""
    estimates = _by(model, rows)
    if twin is None:
        return estimates
    gone = np.isin(estimates.reason, WHAT_IS_MISSING)
    if gone.any():
        places = np.flatnonzero(gone)
        chosen = np.array([model.features.index(name) for name in twin.features])
        part = Rows(
            rows.inputs[np.ix_(places, chosen)],
            rows.implausible[np.ix_(places, chosen)],
            {},  # whom a condition leaves out lacks nothing: that is the first reason against a score
        )
        _take_over(estimates, places, _by(twin, part), chosen)
    return estimates


def _by(model: Model, rows: Rows) -> ScoredRows:
    count = len(rows.inputs)
    reason, text = np.full(count, "", dtype=object), np.full(count, "", dtype=object)
    _population(model, rows, reason, text)
    probability, percentile, base = (np.full(count, np.nan) for _ in range(3))
    contributions = np.full((count, len(model.features)), np.nan)
    flatnonzero = np.flatnonzero(reason == "")
    if len(flatnonzero):
        predict_rows = model.predict_rows(rows.inputs[flatnonzero])
        _refuse(model, rows, flatnonzero, predict_rows.missing, predict_rows.out_of_range, reason, text)
        fine = reason[flatnonzero] == ""
        places = flatnonzero[fine]
        probability[places], percentile[places] = predict_rows.probability[fine], predict_rows.percentile[fine]
        contributions[places], base[places] = predict_rows.contributions[fine], model.manifest.base
    name = np.where(np.isnan(probability), "", model.manifest.id).astype(object)
    return ScoredRows(probability, percentile, reason, text, name, base, contributions)


def _population(model: Model, rows: Rows, reason: Texts, text: Texts) -> None:
    manifest = model.manifest
    if _AGE in model.features:
        index = model.features.index(_AGE)
        # What nobody can be is no age, as a birth date that cannot be read.
        ages = np.where(rows.implausible[:, index], np.nan, rows.inputs[:, index])
        for row in np.flatnonzero(np.isnan(ages) | (ages < manifest.population.age_low)).tolist():
            _say(reason, text, row, not_in_population(manifest, float(ages[row])))
    for words, mask in rows.left_out.items():
        if words == "deceased":
            reason[mask], text[mask] = "deceased", "The patient has died."
        else:
            first: Mask = np.logical_and(mask, reason == "")
            sentence = f"The model is for {manifest.population.words}; {words} is on record."
            reason[first], text[first] = OUTSIDE_POPULATION, sentence


def _refuse(
    model: Model, rows: Rows, chosen: NDArray[np.intp], missing: Mask, out: Mask, reason: Texts, text: Texts
) -> None:
    """Masks find the rows; the sentences and the rules are those of `serving/eligibility.py`."""
    manifest, names = model.manifest, model.features
    lacking: Mask = missing[:, [names.index(name) for name in manifest.required.always]].sum(axis=1) > 0
    for group in manifest.required.groups:
        there = ~missing[:, [names.index(member) for member in group.members]]
        lacking |= there.sum(axis=1) < group.at_least
    implausible = rows.implausible[chosen]
    sentences: dict[bytes, WhyNot | None] = {}
    for row in np.flatnonzero(lacking | out.any(axis=1)).tolist():
        # What is missing is said alike for everybody who misses the same.
        pattern = missing[row].tobytes() if lacking[row] else b""
        if not pattern or pattern not in sentences:
            sentences[pattern] = not_scored(manifest, rows.inputs[chosen[row]])
        _say(reason, text, chosen[row], sentences[pattern])
    for row in np.flatnonzero(implausible.any(axis=1)).tolist():
        if reason[chosen[row]] == "":
            _say(reason, text, chosen[row], _implausible(model, rows.inputs[chosen[row]], implausible[row]))


def _implausible(model: Model, values: Array, implausible: Mask) -> WhyNot:
    items = [model.manifest.features[index] for index in np.flatnonzero(implausible).tolist()]
    descriptions = "; ".join(f"{item.words} {values[model.features.index(item.name)]:g} {item.unit}" for item in items)
    title = model.manifest.title
    text = f"{title}: no score, outside the range the model was built on. Outside the plausible range: {descriptions}."
    return WhyNot(model.manifest.id, OUT_OF_RANGE, text, tuple(item.name for item in items))


def _say(reason: Texts, text: Texts, row: int, not_scored: WhyNot | None) -> None:
    if not_scored is not None:
        reason[row], text[row] = not_scored.reason, not_scored.text


def _take_over(scored_rows: ScoredRows, rows: NDArray[np.intp], by: ScoredRows, columns: NDArray[np.intp]) -> None:
    """Take the twin's answers where it has a score; where it has none either the model's own reason stays."""
    flatnonzero = np.flatnonzero(~np.isnan(by.probability))
    places = rows[flatnonzero]
    scored_rows.reason[places] = scored_rows.reason_text[places] = ""
    for name in ("probability", "percentile", "model", "base"):
        getattr(scored_rows, name)[places] = getattr(by, name)[flatnonzero]
    scored_rows.contributions[np.ix_(places, columns)] = by.contributions[flatnonzero]


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

    def score(self, table: Any, exclude: Sequence[str] = (), *, view: str = "", identity: str | None = None) -> Any:
        """Return an Arrow table with one row for each, in order: probability, percentile, contributions, reason.

        `table` is an Arrow Table or RecordBatch, or what Arrow makes one of: a frame of pandas or polars, or lists by
        the name of their column. The columns of the answer are `probability` (0 to 1), `percentile` (0 to 100, of the
        reference cohort), `model` (who scored: the model or its twin), `reason` and `reason_text` where there is no
        score, `not_used` (inputs whose value was no exact number), `base`, and a
        `contribution_` of every input on the scale of the link; `id` comes first where `identity` names its column.
        `view`, a SELECT from `rows`, says what the columns mean; `exclude` names columns whose yes leaves a person out.

        Raises:
            BatchRefused: a column is missing or in another coding, which a view can say, or the view is wrong.
        """
        pyarrow = arrow()
        try:
            rows = table if isinstance(table, pyarrow.RecordBatch) else pyarrow.table(table)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, TypeError, ValueError) as error:
            raise BatchRefused(
                f"A {type(table).__name__} cannot be read as a table: give an Arrow Table, a frame of pandas or "
                "polars, or columns of one length, each of one kind of values."
            ) from error
        if view:
            from models_onnx.batch.tables import viewed  # imported here: without a view nothing needs DuckDB

            rows = viewed(rows, view, self.features)
        plan = plan_of(self.model.manifest, rows.schema.names, exclude, identity)
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
        answers = {name: pyarrow.array(values, types[name], from_pandas=True) for name, values in columns.items()}
        names = {} if plan.identity is None else {"id": rows.column(plan.identity).cast(pyarrow.string())}
        return pyarrow.table({**names, **answers})


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
    for index, (feature, name) in enumerate(plan.inputs):
        inputs[:, index], unreadable, implausible[:, index] = read_input(feature, name, columns[name])
        for row in np.flatnonzero(unreadable).tolist():
            not_used[row] = f"{not_used[row]} {feature.name}".strip()
    left_out = {words: read_yes(name, columns[name]) for words, name in plan.leave_out}
    return Rows(inputs, implausible, left_out), not_used
