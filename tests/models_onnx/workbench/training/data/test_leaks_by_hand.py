"""What gives an input away, exactly at its limits: on columns whose separation and gaps are counted by hand."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data import leaks
from models_onnx.workbench.training.data.cohort import Cohort

Array = NDArray[np.float64]


@pytest.mark.parametrize(
    ("alone", "after", "loss", "sentence"),
    [
        (0.849, None, 0.149, None),
        (0.85, 0.84, 0.5, "x alone reaches an AUROC of 0.85: it knows the outcome"),
        (0.75, 0.5, 0.0, (
            "x alone reaches an AUROC of 0.75 for events within the horizon and 0.50 for those after it: it knows the "
            "label, not the illness"
        )),
        (0.75, 0.61, 0.0, None),
        (0.6, 0.59, 0.15, "without x the model loses 0.15 of its AUROC: it knows the outcome"),
    ],
)  # fmt: skip
def test_an_input_that_is_too_good(alone: float, after: float | None, loss: float, sentence: str | None) -> None:
    later = {} if after is None else {"x": after}
    assert list(leaks.too_good({"x": alone}, later, {"x": loss})) == ([] if sentence is None else [sentence])
    assert list(leaks.too_good({"age_years": 0.8}, {}, {"age_years": 0.3})) == [], "a model may rest on age"
    assert list(leaks.too_good({"x": 0.6}, {}, {})) == []


def test_how_well_a_column_separates_whichever_way_round() -> None:
    y = np.array([1, 1, 0, 0])
    assert leaks.separates(np.array([4.0, 3.0, 2.0, 1.0]), y) == 1.0
    assert leaks.separates(np.array([1.0, 2.0, 3.0, 4.0]), y) == 1.0
    assert leaks.separates(np.array([1.0, 4.0, 2.0, 3.0]), y) == 0.5
    # the missing one counts as 3, the middle of 2, 3 and 4: of four pairs it wins one, loses none and ties one
    assert leaks.separates(np.array([np.nan, 4.0, 3.0, 2.0]), y) == 0.875
    assert leaks.separates(np.full(4, np.nan), y) == 0.5


def _gaps(with_it: int, without: int) -> tuple[Array, NDArray[np.int64]]:
    """Of 100 rows with the outcome and of 100 without so many miss a value."""
    y = np.array([1] * 100 + [0] * 100)
    x = np.tile([1.0, 2.0], 100)
    x[:with_it] = np.nan
    x[100 : 100 + without] = np.nan
    return x, y


@pytest.mark.parametrize(("with_it", "without", "is_told"), [(50, 10, True), (49, 10, False), (10, 50, True)])
def test_gaps_that_tell_the_outcome(with_it: int, without: int, is_told: bool) -> None:
    """The AUROC of a gap is a half and half of what the shares differ by: 0.7 for 40 points."""
    sentence = leaks._telling(*_gaps(with_it, without))
    assert sentence == (
        f"is missing in {with_it} of 100 rows with the outcome and in {without} of 100 without: whether it is there "
        "tells the outcome, so it may be written after it"
        if is_told
        else None
    )


@pytest.mark.parametrize(("wrong", "is_told"), [(5, True), (6, False)])
def test_a_column_that_tells_the_outcome_by_itself(wrong: int, is_told: bool) -> None:
    y = np.array([1, 0] * 100)
    x = np.where(np.arange(200) < 2 * wrong, 1 - y, y).astype(np.float64)
    sentence = leaks._telling(x, y)
    expected = "tells the outcome by itself (AUROC 0.95): it is the outcome, or is written after it"
    assert (sentence == expected) is is_told


def _cell(size: int, hit: int, of: int = 1000, events: int = 50) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """A value that so many of 1,000 rows have, of which so many have the outcome, of 50 in all others."""
    x = np.where(np.arange(of) < size, 7.0, 1.0)
    y = np.zeros(of, dtype=np.int64)
    y[:hit] = 1
    y[of - events :] = 1
    return x, np.isnan(x), y


@pytest.mark.parametrize(
    ("size", "hit", "is_certain"),
    [(30, 30, True), (29, 29, False), (30, 28, True), (30, 27, False)],
)
def test_a_value_that_hardly_anybody_without_the_outcome_has(size: int, hit: int, is_certain: bool) -> None:
    """Thirty rows of which nine in ten or more have it: (28 + 0.5) / 31 is 0.919, (27 + 0.5) / 31 is 0.887."""
    x, is_missing, y = _cell(size, hit)
    expected = f"has 7 in {size} rows, of which {hit} have the outcome ({100 * y.mean():.0f} in 100 of all)"
    sentence = leaks._certain_value(x, is_missing, y)
    assert (sentence is not None and sentence.startswith(expected)) is is_certain


@pytest.mark.parametrize(("events", "is_certain"), [(266, True), (267, False)])
def test_a_certain_value_has_thirty_times_the_odds_of_the_others(events: int, is_certain: bool) -> None:
    """28.5 of 31 are odds of 11.4, so those of the others are 0.38 at most: 266.5 of 971 are 0.3783, 267.5 0.3803."""
    x, is_missing, y = _cell(30, 28, events=events)
    assert (leaks._certain_value(x, is_missing, y) is not None) is is_certain


def test_that_a_value_is_there_or_not_can_be_certain_too() -> None:
    y = _cell(40, 40)[2]
    for value, word in ((np.nan, "no value"), (7.0, "any value")):
        column = np.where(np.arange(1000) < 40, value, 1.0 if np.isnan(value) else np.nan)
        sentence = str(leaks._certain_value(column, np.isnan(column), y))
        assert sentence.startswith(f"has {word} in 40 rows, of which 40 have the outcome (9 in 100 of all)") or (
            sentence.startswith("has 7 in 40 rows") and word == "any value"
        )
    spread = np.where(np.arange(1000) < 40, np.arange(1000.0), np.nan)
    assert str(leaks._certain_value(spread, np.isnan(spread), y)).startswith("has any value in 40 rows, of which 40 ")


@pytest.mark.parametrize(("number", "is_found"), [(8, True), (7, False)])
def test_values_that_are_a_line_of_the_rates_of_the_outcome(number: int, is_found: bool) -> None:
    values = np.arange(1.0, number + 1)
    count = np.full(number, 100.0)
    assert leaks._is_line_of_rates(values, count, 5.0 * values) is is_found
    odds = 1 / (1 + np.exp(-(values - 5.0) / 2.0))
    assert leaks._is_line_of_rates(values, count, 100.0 * odds) is is_found
    noise = np.tile([1.0, -1.0], number)[:number] * 4.0
    assert not leaks._is_line_of_rates(values, count, 30.0 + noise)
    assert not leaks._is_line_of_rates(values, count, np.full(number, 30.0))
    assert not leaks._is_line_of_rates(values, np.full(number, 4.0), np.full(number, 2.0))


def _cohort(y: Any, **members: Any) -> Cohort:
    events = np.asarray(y)
    facts = {"y": events, "weight": np.ones(len(events)), "fold": np.zeros(len(events), dtype=np.int64), **members}
    return cast(Cohort, SimpleNamespace(**facts))


def _two_folds(events: int) -> Cohort:
    """Two folds of 500, in the second of which 100 have the outcome."""
    y = np.zeros(1000, dtype=np.int64)
    y[:events] = 1
    y[500:600] = 1
    return _cohort(y, fold=np.where(np.arange(1000) < 500, 0, 1))


def test_a_fold_that_was_not_drawn_among_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 140 beside 100 the rate is 0.24, its error in a fold 0.0191, and the folds lie 0.04 away from it."""
    monkeypatch.setattr(leaks, "_FOLD_APART", 2.0)
    assert leaks.uneven_fold(_two_folds(140)) == ("28 of 100 rows of fold 0 have the outcome, 24 of all")
    assert leaks.uneven_fold(_two_folds(60)) == "12 of 100 rows of fold 0 have the outcome, 16 of all"
    monkeypatch.setattr(leaks, "_FOLD_APART", 2.2)
    assert leaks.uneven_fold(_two_folds(140)) is None
    monkeypatch.setattr(leaks, "_FOLD_APART", 0.0)
    assert leaks.uneven_fold(_two_folds(100)) is None, "folds alike are none"
    gone = _two_folds(140)
    gone.weight[:] = np.where(gone.fold == 0, 0.0, 1.0)
    assert leaks.uneven_fold(gone) is None, "rows that count nowhere are in no fold"


@pytest.mark.parametrize(("later", "longer", "is_asked"), [(100, 100, True), (99, 200, False), (200, 98, False)])
def test_events_after_the_horizon_are_asked_of_a_hundred_with_and_without(
    later: int, longer: int, is_asked: bool
) -> None:
    """Within twice the horizon, of those followed longer than that: exactly at either limit neither counts as later."""
    months = np.array([90.0] * later + [121.0] * longer + [60.0, 120.0, 130.0])
    death = np.array([1.0] * later + [0.0] * longer + [1.0, 0.0, 1.0])
    rows = pd.DataFrame({"months": months, "death": death})
    follow = SimpleNamespace(time=lambda table: table["months"], event=lambda table: table["death"], per_year=12.0)
    spec = cast(ModelSpec, SimpleNamespace(outcome=SimpleNamespace(follow_up=follow, horizon_years=5.0)))
    x = np.where(np.arange(len(months)) < later, 1.0, 0.0)
    x[-3:] = 100.0
    cohort = _cohort(death, rows=rows, features=("x",), X=x[:, None])
    wrong_pairs = 1 / (longer + 1)  # who died after twice the horizon was followed longer, and has the highest value
    assert leaks.after_horizon(spec, cohort) == ({"x": pytest.approx(1.0 - wrong_pairs)} if is_asked else {})
    silent = cast(ModelSpec, SimpleNamespace(outcome=SimpleNamespace(follow_up=None, horizon_years=5.0)))
    assert leaks.after_horizon(silent, cohort) == {}


def test_alone_and_shuffled_count_those_who_were_followed() -> None:
    y = np.array([1, 1, 0, 0] * 50 + [0] * 10)
    weight = np.array([1.0] * 200 + [0.0] * 10)
    X = np.column_stack([np.where(weight > 0, y, 5.0), np.zeros(210)])
    cohort = _cohort(y, weight=weight, features=("a", "b"), X=X)
    assert leaks.alone(cohort) == {"a": 1.0, "b": 0.5}
    losses = leaks.shuffled_losses(lambda rows: rows[:, 0], cohort)
    assert losses["b"] == 0.0
    assert losses["a"] == pytest.approx(0.5, abs=0.08)
    decided = leaks.fitted_at_once(cohort)(np.array([[1.0, 0.0], [0.0, 0.0], [np.nan, 0.0]]))
    assert decided[0] > decided[2] > decided[1], "a missing value is the middle one"


@pytest.mark.parametrize(
    ("values", "is_name"),
    [
        (np.arange(200.0), True),
        (np.arange(199.0), False),
        (np.append(np.arange(200.0), np.nan), True),
        (np.append(np.arange(199.0), 0.5), False),
        (np.append(np.arange(180.0), np.zeros(20)), True),
        (np.append(np.arange(179.0), np.zeros(21)), False),
    ],
)
def test_whole_numbers_of_which_nine_in_ten_rows_have_their_own(values: Array, is_name: bool) -> None:
    assert leaks._names_rows(values) is is_name
    sentence = "has a whole number of its own in nearly every row: it names rows, and its order may know the outcome"
    assert (leaks._telling(values, np.arange(len(values)) % 2) == sentence) is is_name


def test_names_of_rows_are_told_where_half_of_the_rows_have_one() -> None:
    names = np.arange(400.0)
    for missing, is_told in ((399, True), (400, False)):
        x, y = np.append(names, np.full(missing, np.nan)), np.arange(400 + missing) % 2
        assert (leaks._telling(x, y) is not None) is is_told


def test_a_column_that_tells_more_by_its_exact_values_was_made_from_the_outcome() -> None:
    """Forty values in mixed order: every second one is of rows with the outcome, its neighbours of rows without."""
    x = np.repeat(np.arange(40.0), 50)
    y = (x % 2).astype(np.int64)
    told = str(leaks._made_of_outcome(x, y))
    assert told.startswith("tells more by its exact values (AUROC 1.00) than by their size (0.5")
    assert told.endswith("): it was made from the outcome")
    assert leaks._made_of_outcome(x, (x >= 20).astype(np.int64)) is None, "as honest values do"
    assert leaks._made_of_outcome(np.repeat(np.arange(20.0), 50), y[:1000]) is None, "twenty values are as many bins"
    gaps = np.append(x, np.full(100, np.nan))
    assert leaks._made_of_outcome(gaps, np.append(y, np.ones(100, dtype=np.int64))) is not None
    rates = np.repeat(np.arange(1.0, 9.0), 100)
    events = (np.tile(np.arange(100), 8) < 5 * rates).astype(np.int64)
    assert leaks._made_of_outcome(rates, events) == (
        "holds for each of its values the rate of the outcome in the same rows: it was made from the outcome"
    )
    assert leaks._made_of_outcome(rates[:700], events[:700]) is None


def _people(rows: pd.DataFrame, X: Any = None, patient: Any = None) -> Any:
    content = pd.DataFrame(np.zeros((len(rows), 1)) if X is None else X)
    members = {"patient": np.arange(len(rows)) if patient is None else patient, "rows": rows}
    return SimpleNamespace(content=lambda: content, **members)


NAMES = cast(ModelSpec, SimpleNamespace(patient_column="patient", key="row", fold_column="fold"))


class _Sized(SimpleNamespace):
    """A cohort that has a length."""

    def __len__(self) -> int:
        return len(self.rows)


@pytest.mark.parametrize(
    ("contents", "times", "single", "told"),
    [
        (20, 2, 0, 2),
        (20, 3, 0, 3),
        (19, 2, 0, None),
        (18, 2, 2, 2),
        (18, 2, 3, None),
        (20, 50, 0, 2),
        (20, 49, 0, 7),
        (20, 53, 0, None),
        (20, 1, 0, None),
    ],
)
def test_people_who_are_all_there_several_times(contents: int, times: int, single: int, told: int | None) -> None:
    """Nine in ten of at least twenty contents, up to fifty times; 49 is a multiple of 7."""
    values = [*np.repeat(np.arange(contents), times), *range(1000, 1000 + single)]
    rows = pd.DataFrame({"x": values}).assign(
        patient=range(len(values)), row=range(len(values)), fold=range(len(values))
    )
    facts = vars(_people(rows, X=np.arange(len(values))[:, None]))
    sentence = leaks.copied_people(NAMES, cast(Cohort, _Sized(**facts)))
    assert sentence == (
        None
        if told is None
        else f"nearly every row of the table is there {told} times under other names: nobody counts twice"
    )


@pytest.mark.parametrize(("copied", "others", "is_told"), [(20, 1000, False), (21, 1000, True), (40, 4000, False)])
def test_rows_that_repeat_those_of_other_patients(copied: int, others: int, is_told: bool) -> None:
    """More than twenty, and more than one in a hundred rows."""
    x = np.arange(others, dtype=np.float64)
    x[others - copied :] = x[:copied]
    rows = pd.DataFrame({"x": np.arange(others)})
    facts = vars(_people(rows, X=np.column_stack([x, x + 0.5, x * 3.0, x])))
    sentence = leaks.copied_people(NAMES, cast(Cohort, _Sized(**facts)))
    expected = f"{copied} rows repeat one of another patient under another name: nobody counts twice"
    assert sentence == (expected if is_told else None)


def test_inputs_that_are_read_from_a_name_or_from_the_place_of_a_row() -> None:
    derived = {"egfr": lambda table: pd.Series(np.arange(len(table)), index=table.index)}
    inputs = (SimpleNamespace(name="age_years"), SimpleNamespace(name="egfr"))
    spec = cast(ModelSpec, SimpleNamespace(id="m", patient_column="patient", key="row", derived=derived, inputs=inputs))
    rows = pd.DataFrame({"age_years": np.arange(30.0), "patient": range(30), "row": range(30)})
    told = leaks.read_by_name_or_order(spec, {"patient": ["a", "b"], "row": ["c"], "age_years": ["age_years"]}, rows)
    assert told == [
        "a, b is read from patient, which only names a row: its order may know the outcome",
        "c is read from row, which only names a row: its order may know the outcome",
        "egfr is told from the place of a row in the table, which may know the outcome",
    ]


def test_each_column_behind_an_input_is_looked_at_once_and_then_the_inputs() -> None:
    y = np.array([1, 0] * 100)
    told = "tells the outcome by itself (AUROC 1.00): it is the outcome, or is written after it"
    rows = pd.DataFrame({"twin": y, "event": y, "fair": np.tile([1.0, 1.0, 2.0, 2.0], 50)})
    X = np.column_stack([y, y, np.tile([1.0, 1.0, 2.0, 2.0], 50), y]).astype(np.float64)
    cohort = _cohort(y, rows=rows, X=X, features=("a", "b", "c", "d"))
    inputs = {"twin": ["a"], "event": ["b"], "fair": ["c"], "absent": ["c"]}
    assert list(leaks.telling_columns(inputs, cohort, {"event"})) == [f"a is read from twin, which {told}", f"d {told}"]
    one = _cohort(np.ones(200, dtype=np.int64), rows=rows, X=X, features=("a", "b", "c", "d"))
    assert list(leaks.telling_columns(inputs, one, set())) == []
    half = _cohort(np.where(np.arange(200) < 100, y, 1 - y), rows=rows, X=X, features=("a", "b", "c", "d"))
    half.weight[100:] = 0.0
    assert len(list(leaks.telling_columns(inputs, half, {"event"}))) == 2, "who was not followed does not count"


@pytest.mark.parametrize(
    ("size", "hit", "rows", "events"),
    [
        # 40.5 of 45 are nine in ten exactly
        (44, 40, 1000, 0),
        # 28.5 of 31 are odds of 11.4, thirty times those of 27.5 of 101 (0.374)
        (30, 28, 130, 27),
    ],
)
def test_a_certain_value_exactly_at_its_limits(size: int, hit: int, rows: int, events: int) -> None:
    assert leaks._certain_value(*_cell(size, hit, rows, events)) is not None


@pytest.mark.parametrize(("noise", "is_found"), [(0.9, True), (1.2, False)])
def test_rates_lie_nearer_to_a_line_than_chance_lets_them(noise: float, is_found: bool) -> None:
    """Off by 0.009 at a rate of 0.3 of a hundred rows is 0.039 of what chance gives, by 0.012 it is 0.069."""
    values = np.arange(1.0, 9.0)
    events = 30.0 + noise * np.tile([1.0, -1.0], 4)
    assert leaks._is_line_of_rates(values, np.full(8, 100.0), events) is is_found


@pytest.mark.parametrize(("others", "is_found"), [(800.0, True), (801.0, False)])
def test_values_with_rates_hold_half_of_the_rows(others: float, is_found: bool) -> None:
    values, count = np.arange(1.0, 10.0), np.array([100.0] * 8 + [others])
    events = np.append(5.0 * np.arange(1.0, 9.0), 0.0)
    assert leaks._is_line_of_rates(values, count, events) is is_found


def test_twenty_values_are_told_by_their_size_also_where_bins_join_them() -> None:
    x = np.concatenate([np.zeros(2000), np.repeat(np.arange(1.0, 20.0), 50)])
    assert leaks._made_of_outcome(x, (x % 2).astype(np.int64)) is None
    one_more = np.concatenate([x, np.full(50, 20.0)])
    assert leaks._made_of_outcome(one_more, (one_more % 2).astype(np.int64)) is not None
