"""Scores the rows of a table as the server would score the same facts: one line per row, in order, or why not.

A row goes to the model; where that refuses for what is missing, to its twin; each line says which model gave it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from models_onnx.artifact.files import whole_file
from models_onnx.artifact.keys import Keys
from models_onnx.errors import TrainingRefused
from models_onnx.serving.eligibility import WHAT_IS_MISSING, not_in_population, not_scored
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.serving.runtime import Model
from models_onnx.spec import ModelSpec, get_spec
from models_onnx.workbench.training.data.cohort import inputs_of, read_chunks

AT_ONCE = 20_000
Array = NDArray[np.float64]


@dataclass(slots=True)
class Tally:
    """How many rows were read, how many each model scored, and how many have which reason for no score."""

    rows: int = 0
    scored: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    absent_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """The lines of some rows: probability NaN and a reason where there is no score; `model` names who scored."""

    key: NDArray[np.object_]
    probability: Array
    reason: NDArray[np.object_]
    model: NDArray[np.object_]
    base: Array
    contributions: Array


class Scorer:
    """A model and its twin with their declarations, ready for rows of their table."""

    def __init__(self, spec: ModelSpec, model: Model, twin: "Scorer | None" = None) -> None:
        if model.features != spec.feature_names:
            raise TrainingRefused(f"{spec.id}: the artifact is of other inputs than the declaration; train it again")
        self.spec, self.model, self.twin = spec, model, twin

    @classmethod
    def of(cls, name: str, folder: Path = ARTIFACTS, specs: Path | None = None, keys: Keys | None = None) -> "Scorer":
        """The scorer of that model as it stands in the folder of artifacts, its twin with it; signed by `keys`."""
        spec = get_spec(name, specs)
        twin = cls.of(spec.twin, folder, specs, keys) if spec.twin is not None else None
        return cls(spec, load_model(name, folder, keys), twin)

    def score(self, rows: pd.DataFrame) -> Scored:
        """One line for each of the rows, in their order."""
        scored = self._own(rows)
        if self.twin is None:
            return scored
        codes = np.array([str(reason).partition(":")[0] for reason in scored.reason], dtype=object)
        gone = np.isin(codes, WHAT_IS_MISSING)
        if gone.any():
            _replace(scored, gone, self.twin.score(rows[gone]), self.model.features, self.twin.model.features)
        return scored

    def columns(self) -> set[str]:
        """The columns that inputs are read from by their own names, without which they are missing throughout."""
        return {item.name for item in self.spec.inputs if item.name not in self.spec.derived}

    def _own(self, rows: pd.DataFrame) -> Scored:
        reason = np.full(len(rows), "", dtype=object)
        self._leave_out(rows, reason)
        probability, base = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        contributions = np.full((len(rows), len(self.model.features)), np.nan)
        asked = np.flatnonzero(reason == "")
        if len(asked):
            X = inputs_of(self.spec, rows.iloc[asked] if len(asked) < len(rows) else rows)
            found = self.model.predict_rows(X)
            refused = self._refused(X, found.missing, found.out_of_range)
            reason[asked] = refused
            fine = refused == ""
            places = asked[fine]
            probability[places], base[places] = found.probability[fine], self.model.manifest.base
            contributions[places] = found.contributions[fine]
        model = np.where(np.isnan(probability), "", self.spec.id).astype(object)
        return Scored(rows[self.spec.key].to_numpy(dtype=object), probability, reason, model, base, contributions)

    def _leave_out(self, rows: pd.DataFrame, reason: NDArray[np.object_]) -> None:
        """Whom the population leaves out, as far as the table says it; a column that is not there says nothing."""
        for exclusion in self.spec.exclusions:
            if exclusion.at_score is None:
                continue
            try:
                out = np.asarray(exclusion.leaves_out(rows), dtype=bool)
            except (KeyError, TypeError):  # no such column, or a column that should be numbers and is words
                continue
            reason[out & (reason == "")] = f"{exclusion.at_score}: {exclusion.words}"

    def _refused(self, X: Array, missing: NDArray[np.bool_], out_of_range: NDArray[np.bool_]) -> NDArray[np.object_]:
        """By the rules of `models_onnx/serving/eligibility.py`, which say the sentence; masks only find the rows."""
        manifest, names = self.model.manifest, self.model.features
        needed = [names.index(name) for name in manifest.required.always]
        lacking: NDArray[np.bool_] = missing[:, needed].sum(axis=1) > 0
        for group in manifest.required.groups:
            there = ~missing[:, [names.index(member) for member in group.members]]
            lacking |= there.sum(axis=1) < group.at_least
        young: NDArray[np.bool_] = np.zeros(len(X), dtype=np.bool_)
        if manifest.population.age_low:
            young = np.logical_not(X[:, names.index("age_years")] >= manifest.population.age_low)
        reason = np.full(len(X), "", dtype=object)
        sentences: dict[bytes, str] = {}
        for row in np.flatnonzero(lacking | young | out_of_range.any(axis=1)):
            # What is missing is said alike for everybody who misses the same.
            pattern = missing[row].tobytes() if lacking[row] and not young[row] else b""
            if pattern not in sentences or not pattern:
                sentences[pattern] = self._sentence(X[row])
            reason[row] = sentences[pattern]
        return reason

    def _sentence(self, values: Array) -> str:
        manifest = self.model.manifest
        refused = None
        if manifest.population.age_low:
            refused = not_in_population(manifest, float(values[self.model.features.index("age_years")]))
        refused = refused or not_scored(manifest, values)
        return f"{refused.reason}: {refused.text}" if refused is not None else ""


def score_file(
    scorer: Scorer, rows: Path, out: Path, explain: bool, progress: Callable[[int], None] = lambda _: None
) -> Tally:
    """Writes one line per row to `out`; TrainingRefused where the table has no key or cannot be read.

    A table that cannot be read to its end leaves no file: half of the lines would look like all of them.
    """
    tally = Tally()
    if not rows.is_file():
        raise TrainingRefused(f"{rows} is not there")
    if out.exists() and out.samefile(rows):
        raise TrainingRefused(f"{out} is the table itself; write the scores to another file")
    with whole_file(out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(_header(scorer, explain)) + "\n")
        for part in _parts(scorer, rows, tally):
            if len(part):
                scored = scorer.score(part)
                _write(file, scored, explain)
                _count(tally, scored)
                progress(tally.rows)
    return tally


def _parts(scorer: Scorer, rows: Path, tally: Tally) -> Iterator[pd.DataFrame]:
    for part in read_chunks(scorer.spec, rows, AT_ONCE):
        if scorer.spec.key not in part.columns:
            raise TrainingRefused(f"{rows.name} has no column {scorer.spec.key}, by which a line names its row")
        tally.absent_columns = tuple(sorted(scorer.columns() - set(part.columns)))
        yield part


def _count(tally: Tally, scored: Scored) -> None:
    tally.rows += len(scored.key)
    for values, counts in ((scored.model, tally.scored), (scored.reason, tally.reasons)):
        for value in values:
            if value:
                name = str(value).partition(":")[0]
                counts[name] = counts.get(name, 0) + 1


def _header(scorer: Scorer, explain: bool) -> list[str]:
    own = ["id", "probability", "reason", "model"]
    return [*own, "base", *(f"contribution_{name}" for name in scorer.model.features)] if explain else own


def _write(file: IO[str], scored: Scored, explain: bool) -> None:
    """Numbers by orjson, which writes a float in the fewest digits that mean it, and many times as fast as str."""
    probability = _numbers(scored.probability[:, None])
    texts = zip(scored.key, probability, scored.reason, scored.model, strict=True)
    lines = [f"{_field(key)},{number},{_field(reason)},{model}" for key, number, reason, model in texts]
    if explain:
        more = _numbers(np.column_stack([scored.base, scored.contributions]))
        lines = [f"{line},{numbers}" for line, numbers in zip(lines, more, strict=True)]
    file.write("\n".join(lines) + "\n")


def _numbers(values: Array) -> list[str]:
    """One text per row, its numbers between commas, nothing where there is none."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text[2:-2].replace("null", "").split("],[") if len(values) else []


def _field(text: object) -> str:
    """A text as CSV has it (RFC 4180)."""
    found = str(text)
    return '"' + found.replace('"', '""') + '"' if any(sign in found for sign in ',"\n\r') else found


def _replace(
    scored: Scored, rows: NDArray[np.bool_], by: Scored, names: tuple[str, ...], of_twin: tuple[str, ...]
) -> None:
    """The twin's lines in the places of those it took over; where it has no score either, its own reason stays."""
    taken = ~np.isnan(by.probability)
    places = np.flatnonzero(rows)[taken]
    scored.probability[places] = by.probability[taken]
    scored.reason[places] = ""
    scored.model[places] = by.model[taken]
    scored.base[places] = by.base[taken]
    scored.contributions[places] = np.nan
    for column, name in enumerate(of_twin):
        scored.contributions[places, names.index(name)] = by.contributions[taken, column]
