"""Findings on the values of a table, exactly at their limits, on columns of a few values."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data import check_tables as checks
from models_onnx.workbench.training.data.check_tables import DataReport
from tests.models_onnx.workbench.gates.formula import item

CREATININE = "creatinine_mg_dl"


def _report() -> DataReport:
    return DataReport("t.csv", "table", {})


def _found(report: DataReport) -> list[tuple[Any, ...]]:
    return [(each.kind, each.severity, each.where, each.count) for each in report.findings]


@pytest.mark.parametrize(
    ("codes", "others", "count"),
    [
        (5 * [999.0], [1.0, 2.0, 3.0], 5),
        (4 * [999.0], [1.0, 2.0, 3.0], 0),
        (5 * [-9.0], [1.0, 0.0], 5),
        (5 * [-9.0], [1.0, -1.0], 0),
        (5 * [99.0], [1.0, 67.0], 0),
        (5 * [99.0], [1.0, 65.0], 5),
        (5 * [123.0], [1.0, 2.0], 0),
        (5 * [9.0], [8.4, 8.5], 0),
        (5 * [9.0], [8.3, 8.4], 5),
        (9 * [999.0], [], 0),
    ],
)
def test_a_number_of_nines_far_from_all_others_may_mean_that_there_is_none(
    codes: list[float], others: list[float], count: int
) -> None:
    report = _report()
    checks.report_missing_codes(pd.DataFrame({"x": [*codes, *others]}), report)
    assert _found(report) == ([("missing-code", "warning", "x", count)] if count else [])


@pytest.mark.parametrize(
    ("middle", "reference", "severity"),
    [(2.0, 1.0, None), (2.01, 1.0, "warning"), (4.0, 1.0, "warning"), (4.01, 1.0, "error"), (0.5, 1.0, None),
     (0.49, 1.0, "warning"), (0.24, 1.0, "error"), (5.0, 0.0, None), (0.0, 1.0, None)],
)  # fmt: skip
def test_a_middle_twice_that_of_the_reference_may_be_of_another_unit(
    middle: float, reference: float, severity: str | None
) -> None:
    report = _report()
    checks._shift(CREATININE, np.array([middle]), reference, False, report)
    assert _found(report) == ([] if severity is None else [("unit-shift", severity, CREATININE, 1)])
    for name, is_code in ((CREATININE, True), ("age_years", False)):
        silent = _report()
        checks._shift(name, np.array([middle]), reference, is_code, silent)
        assert _found(silent) == []


def _trained(clip_high: float | None = None) -> Manifest:
    described = item(CREATININE, 0.5, 2.0, 1.0, clip_high=clip_high)
    return cast(Manifest, SimpleNamespace(features=(described,), feature=lambda _name: described))


@pytest.mark.parametrize(
    ("values", "clip_high", "found"),
    [
        ([1.0] * 50, None, []),
        ([0.4, *[1.0] * 49], None, [("out-of-range", "note", CREATININE, 1)]),
        ([2.1, 0.4, *[1.0] * 48], None, [("out-of-range", "error", CREATININE, 2)]),
        ([2.1, 0.4, *[1.0] * 48], 2.0, [("out-of-range", "note", CREATININE, 1)]),
        ([2.0, 0.5, *[1.0] * 48], None, []),
        ([2.1, *[1.0] * 48], None, []),
        ([21.0, 0.05, *[1.0] * 40], None, [("implausible-value", "warning", CREATININE, 2)]),
        ([20.0, 0.1, *[1.0] * 40], None, []),
        ([np.nan] * 30, None, [("always-missing", "warning", CREATININE, 30)]),
        ([], None, []),
        ([90.0] * 30, None, [("unit-shift", "error", CREATININE, 1)]),
    ],
)
def test_values_outside_what_is_plausible_or_was_trained_on(
    values: list[float], clip_high: float | None, found: list[Any]
) -> None:
    report = _report()
    checks._values(CREATININE, np.array(values), _trained(clip_high), report, is_derived=False)
    assert _found(report) == found


def test_an_input_that_the_trained_model_has_not_is_judged_by_what_is_plausible_alone() -> None:
    for trained in (None, cast(Manifest, SimpleNamespace(features=()))):
        report = _report()
        checks._values(CREATININE, np.full(60, 15.0), trained, report, is_derived=False)
        assert _found(report) == []


def _spec(**outcome: Any) -> ModelSpec:
    facts = {"column": "y", "follow_up": None, "of": None, "horizon_years": 5.0, **outcome}
    spec = {"outcome": SimpleNamespace(**facts), "key": "row", "patient_column": "patient", "fold_column": "fold",
            "row_words": "people"}  # fmt: skip
    return cast(ModelSpec, SimpleNamespace(**spec))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 1, 1], []),
        (["0", "1", 1.0], []),
        ([0, 2, None], [("not-zero-or-one", "error", "y", 2)]),
        ([1, 1, 1], [("one-outcome", "error", "y", 3)]),
        ([2, 2, 2], [("not-zero-or-one", "error", "y", 3)]),
        ([], []),
    ],
)
def test_an_outcome_is_zero_or_one_and_not_the_same_in_all(values: list[Any], found: list[Any]) -> None:
    report = _report()
    checks._outcome(_spec(), pd.DataFrame({"y": pd.Series(values, dtype=object)}), report)
    assert _found(report) == found


def test_how_long_people_were_followed() -> None:
    follow = SimpleNamespace(per_year=12.0, time=lambda rows: rows["followup_months"], event=lambda rows: rows["death"])
    rows = pd.DataFrame({"followup_months": [-1, 0, 59, 60, 59], "death": [1, 1, 0, 0, 1]})
    report = _report()
    checks._outcome(_spec(follow_up=follow), rows, report)
    assert _found(report) == [("impossible-follow-up", "error", "y", 1), ("short-follow-up", "note", "y", 1)]
    silent = _report()
    checks._outcome(_spec(follow_up=follow), rows.drop(columns="death"), silent)
    assert _found(silent) == []


def test_keys_patients_and_folds() -> None:
    rows = pd.DataFrame({"row": ["a", "b", "b", ""], "patient": ["p", "p", "nan", "q"], "fold": [0, 1, 2, 2]})
    report = _report()
    checks._keys(_spec(), rows, report)
    assert _found(report) == [
        ("duplicate-key", "error", "row", 1),
        ("empty-key", "error", "row", 1),
        ("empty-key", "error", "patient", 1),
        ("patient-in-two-folds", "error", "fold", 1),
        ("several-rows-per-patient", "note", "patient", 1),
    ]
    without = _report()
    checks._keys(_spec(), rows.drop(columns="fold").iloc[:2], without)
    assert _found(without) == [("no-folds", "note", "fold", 1)]


@pytest.mark.parametrize(
    ("rest", "events", "found"),
    [
        (20, 20, []),
        (30, 19, [("few-events", "warning", "y", 19)]),
        (19, 30, [("few-events", "warning", "y", 19)]),
        (30, 0, [("few-events", "error", "y", 1)]),
    ],
)
def test_of_fewer_than_twenty_rows_it_is_not_told_what_knows_the_outcome(
    rest: int, events: int, found: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    y = np.array([0] * rest + [1] * events + [1])
    weight = np.append(np.ones(rest + events), 0.0)
    cohort = SimpleNamespace(y=y, weight=weight, features=(), X=np.empty((len(y), 0)))
    monkeypatch.setattr(checks, "read_rows", lambda _spec, _path: None)
    monkeypatch.setattr(checks, "build_cohort", lambda _spec, _rows: cohort)
    monkeypatch.setattr(checks, "leaks_of", lambda _spec, _cohort: [])
    monkeypatch.setattr(checks, "uneven_fold", lambda _cohort: None)
    report = _report()
    checks._leaks(_spec(), Path("t.csv"), report)
    assert _found(report) == found


def test_a_table_that_cannot_be_trained_on_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_spec: ModelSpec, _path: Path) -> None:
        raise TrainingRefused("it has no rows")

    monkeypatch.setattr(checks, "read_rows", refuses)
    report = _report()
    checks._leaks(_spec(), Path("t.csv"), report)
    assert [(each.kind, each.text) for each in report.findings] == [("not-trainable", "it has no rows")]
