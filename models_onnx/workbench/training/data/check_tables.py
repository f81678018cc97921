"""Checks a training table against its model.

Keys, words, values and units, what training refuses, and columns that know the future.

Examples are values, codes and units, never an id, a name or a date: a report may be passed on.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fhir.mapping.features.catalog import FEATURES
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec, find_specs, get_spec
from models_onnx.workbench.training.data.cohort import (
    build_cohort,
    column_in_another_unit,
    inputs_of,
    read_rows,
    texts_among_numbers,
    without_texts,
)
from models_onnx.workbench.training.data.leaks import LEAST_EVENTS, Suspicion, leaks_of

Severity = Literal["error", "warning", "note"]
SHOWN = 8


@dataclass(frozen=True, slots=True)
class DataProblem:
    """One kind of trouble: what, where, how often, and what it looks like."""

    kind: str
    severity: Severity
    where: str
    text: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(slots=True)
class DataReport:
    """Everything that was found in what was looked at."""

    name: str
    kind: str
    counts: dict[str, int]
    findings: list[DataProblem] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there is no error; warnings and notes are for a person to weigh."""
        return not any(finding.severity == "error" for finding in self.findings)

    def add(self, kind: str, severity: Severity, where: str, text: str, values: Iterable[Any] | int) -> None:
        """One finding, unless there is nothing of it; the most frequent examples first."""
        examples: tuple[str, ...] = ()
        if isinstance(values, int):
            count = values
        else:
            seen = Counter(map(str, values))
            count = sum(seen.values())
            examples = tuple(
                f"{example} ({times:,})" if times > 1 else example for example, times in seen.most_common(SHOWN)
            )
        if count:
            self.findings.append(DataProblem(kind, severity, where, text, count, examples))


def spec_of_table(path: Path, name: str | None, specs: Path | None = None) -> ModelSpec:
    """Return the model that is trained on this table: the one that is named, else the first whose table is called so.

    Raises:
        UnknownModel, TrainingRefused: no model of that name is declared, or none that has a table of that name.
    """
    if name is not None:
        return get_spec(name, specs)
    stem = path.name.partition(".")[0]
    spec = next((spec for spec in find_specs(specs).values() if spec.table.partition(".")[0] == stem), None)
    if spec is None:
        raise TrainingRefused(
            f"no model is declared whose table is called {stem}: name one with --model, and the folder of your own "
            "declarations with --specs"
        )
    return spec


def check_table(spec: ModelSpec, path: Path) -> DataReport:
    """Say what is wrong with the rows as rows of that model's table."""
    rows = read_rows(spec, path, as_it_is=True)
    report = DataReport(path.name, f"table of {spec.id}", {"rows": len(rows), "columns": len(rows.columns)})
    texts = texts_among_numbers(spec, rows)
    for where, texts_found in texts.items():
        report.add("not-a-number", "warning", where, "texts among numbers: they count as missing", texts_found)
    rows = without_texts(rows, texts)
    repeated = int(rows.duplicated().sum())
    report.add("duplicate-rows", "warning", "rows", "rows that repeat another in every column", repeated)
    _keys(spec, rows, report)
    present = [name for name in spec.never_inputs if name in rows.columns]
    text = "knows the outcome or stands for who pays; in the table, not an input"
    report.add("look-ahead-column", "note", "columns", text, present)
    served = _served(spec, rows)
    X = inputs_of(spec, served)
    for column, name in enumerate(spec.feature_names):
        _values(name, X[:, column], report)
    _training(spec, path, report)
    return report


def _served(spec: ModelSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of those whom the model is for: the others are outside its ranges by right."""
    for exclusion in spec.exclusions:
        if exclusion.at_score is not None:
            try:
                rows = rows[~np.asarray(exclusion.leaves_out(rows), dtype=bool)]
            except (KeyError, TypeError):
                continue
    return rows


def _keys(spec: ModelSpec, rows: pd.DataFrame, report: DataReport) -> None:
    if spec.key in rows:
        report.add("empty-key", "error", spec.key, "rows without a key", int(rows[spec.key].isin(["", "nan"]).sum()))
    if spec.patient_column in rows and spec.patient_column != spec.key:
        blank = int(rows[spec.patient_column].isin(["", "nan"]).sum())
        report.add("empty-key", "error", spec.patient_column, "rows without a patient: they count as one", blank)
    if spec.fold_column not in rows or spec.patient_column not in rows:
        text = "no folds in the table: the patients go into five in turn"
        report.add("no-folds", "note", spec.fold_column, text, int(spec.fold_column not in rows))
        return
    repeats = int(rows[spec.patient_column].duplicated().sum())
    if spec.key != spec.patient_column:
        text = "rows of patients who have another: resample by patient, not by row"
        report.add("several-rows-per-patient", "note", spec.patient_column, text, repeats)


def _training(spec: ModelSpec, path: Path, report: DataReport) -> None:
    """Report what training refuses in the table, or what knows the outcome, as the gate discrimination does later."""
    try:
        cohort = build_cohort(replace(spec, table=path.name), read_rows(spec, path))
    except TrainingRefused as refused:
        report.add("not-trainable", "error", "table", str(refused), 1)
        return
    rest, events = np.bincount(cohort.y[cohort.weight > 0], minlength=2).tolist()
    if min(rest, events) < LEAST_EVENTS:
        severity: Severity = "warning" if min(rest, events) else "error"
        counts = f"{events} rows with the outcome and {rest} without it"
        text = f"{counts}: only from {LEAST_EVENTS} of each on it is told what knows the outcome"
        report.add("few-events", severity, spec.outcome.column, text, max(1, min(rest, events)))
    for sentence in leaks_of(spec, cohort):
        if isinstance(sentence, Suspicion):
            text = f"{sentence}. Where it is known before, somebody says so on the card (product.answers)"
            report.add("suspicion", "warning", "inputs", text, 1)
        else:
            report.add("leak", "error", "inputs", sentence, 1)
    for name, x in zip(cohort.features, cohort.X.T, strict=True):
        text = "the same in all rows: nothing can be learned from it"
        report.add("constant-input", "warning", name, text, len(x) if len(np.unique(x)) == 1 else 0)


def _values(name: str, x: np.ndarray, report: DataReport) -> None:
    feature, values = FEATURES[name], x[~np.isnan(x)]
    low, high = feature.plausible_low, feature.plausible_high
    outside = values[(values < low) | (values > high)]
    if column_in_another_unit(name, x) is not None:  # training refuses it, and says so
        return
    text = f"outside {low:g} to {high:g} {feature.unit}: not believed at the bedside, and missing here too"
    report.add("implausible-value", "warning", name, text, [f"{value:.5g}" for value in outside])
