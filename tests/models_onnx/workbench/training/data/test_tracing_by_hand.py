"""What is read by what, on tables of a few columns: groups that may not be read, proxies, and what is watched."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import FollowUp, ModelSpec, OutcomeSpec
from models_onnx.workbench.training.data import tracing
from models_onnx.workbench.training.data.cohort import Cohort


@pytest.mark.parametrize(
    ("inputs", "axes", "sentences"),
    [
        ({"race": ["age_years"]}, {}, ["age_years is read from race"]),
        ({"origin": ["age_years", "sex_male"]}, {"race": {"origin"}}, [
            "age_years, sex_male is read from origin, which makes the axis race",
        ]),
        ({"payer_code": ["bmi_kg_m2"]}, {"site": {"payer_code"}}, [
            "bmi_kg_m2 is read from payer_code, which makes the axis site",
        ]),
        ({"age": ["age_years"]}, {"age band": {"age"}}, []),
        ({"age": ["age_years", "bmi_kg_m2"]}, {"age band": {"age"}}, [
            "bmi_kg_m2 is read from age, which makes the axis age band",
        ]),
        ({"gender": ["sex_male", "age_years"]}, {"sex": {"gender"}}, [
            "age_years is read from gender, which makes the axis sex",
        ]),
        ({"site": ["bmi_kg_m2"]}, {"site": {"site"}}, []),
        ({"bmi": ["bmi_kg_m2"]}, {"sex": {"gender"}}, []),
    ],
)  # fmt: skip
def test_an_input_may_not_read_the_column_of_a_group(
    inputs: dict[str, list[str]], axes: dict[str, set[str]], sentences: list[str]
) -> None:
    assert list(tracing._smuggled(inputs, axes)) == sentences


@pytest.mark.parametrize(
    ("columns", "axes", "unnamed"),
    [
        (["race", "ethnicity"], {"race": {"race"}}, ["ethnicity"]),
        (["race", "ethnicity"], {"Race and ethnicity": {"race", "ethnicity"}}, []),
        (["race"], {"origin": {"race"}}, ["race"]),
        (["race"], {"ethnic group": {"race"}}, []),
        (["empty_race"], {}, []),
        (["sex", "gender"], {"sex": {"gender"}}, []),
        (["sex", "gender"], {}, ["sex"]),
        (["gender"], {"gender": {"gender"}}, ["gender"]),
        (["age", "patient_age", "wage"], {}, ["age"]),
        (["wage", "sextant", "ages"], {}, []),
        (["age"], {"sex": {"age"}}, ["age"]),
    ],
)
def test_columns_of_race_sex_and_age_have_an_axis_of_that_name(
    columns: list[str], axes: dict[str, set[str]], unnamed: list[str]
) -> None:
    rows = pd.DataFrame({name: [" ", None] if name.startswith("empty") else ["a", None] for name in columns})
    assert list(tracing._unnamed(axes, columns, rows)) == unnamed


def _cohort(members: int, others: int, right: float) -> Cohort:
    """An input that tells the group of x from the others in so many of 100 pairs."""
    group = ["x"] * members + ["y"] * others
    value = np.where(np.arange(members + others) < members, 1.0, 0.0)
    wrong = round((1 - right) * others * 2)
    value[members : members + wrong] = 1.0  # pairs of equals count a half
    rows = pd.DataFrame({"group": group})
    return cast(Cohort, SimpleNamespace(rows=rows, features=("crea",), X=value[:, None]))


def _axes(name: str) -> ModelSpec:
    return cast(ModelSpec, SimpleNamespace(subgroups={name: lambda rows: rows["group"]}))


@pytest.mark.parametrize(
    ("axis", "members", "others", "right", "count"),
    [
        ("race", 50, 50, 0.9, 2),
        ("race", 50, 50, 0.89, 0),
        ("race", 49, 51, 1.0, 0),
        ("race", 51, 49, 1.0, 0),
        ("language", 60, 70, 1.0, 2),
        ("sex", 50, 50, 1.0, 0),
    ],
)
def test_an_input_that_tells_a_protected_group_stands_for_it(
    axis: str, members: int, others: int, right: float, count: int
) -> None:
    sentences = list(tracing._proxies(_axes(axis), _cohort(members, others, right)))
    assert (
        sentences
        == [f"crea tells {value} of the axis {axis} from the others (AUROC {right:.2f})" for value in ("x", "y")][
            :count
        ]
    )


def test_people_of_no_recorded_group_are_the_others() -> None:
    cohort = _cohort(50, 50, 1.0)
    cohort.rows.loc[50:, "group"] = None
    assert list(tracing._proxies(_axes("race"), cohort)) == [
        "crea tells x of the axis race from the others (AUROC 1.00)"
    ]


ROWS = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [4.0, 2.0, 1.0, 3.0], "same": [1.0] * 4, "t": list("wxyz")})


@pytest.mark.parametrize(
    ("function", "read"),
    [
        (lambda rows: rows["a"] + rows["b"], {"a", "b"}),
        (lambda rows: rows["a"] + 0 * rows["b"], {"a"}),
        (lambda rows: rows[["a", "b"]].sum(axis=1), {"a", "b"}),
        (lambda rows: rows[rows["a"] > 0]["b"], {"b"}),
        (lambda rows: rows.a, {"a"}),
        (lambda rows: rows["t"], {"t"}),
        (lambda rows: rows["same"], set()),
        (lambda rows: rows["none"] if "none" in rows.columns else rows["b"], {"b"}),
        (lambda rows: pd.DataFrame(rows)["a"].to_numpy(), {"a"}),
        (lambda _rows: np.ones(4), set()),
    ],
)
def test_which_columns_change_what_a_function_gives(function: Any, read: set[str]) -> None:
    assert tracing._read_by(function, ROWS, ROWS.columns) == read


def test_only_the_columns_that_may_be_looked_at_are_tried() -> None:
    assert tracing._read_by(lambda rows: rows["a"] + rows["b"], ROWS, ["b", "same"]) == {"b"}
    tried: list[int] = []

    def counted(rows: Any) -> Any:
        tried.append(1)
        return rows["a"]

    tracing._read_by(counted, ROWS, ROWS.columns)
    assert len(tried) == 2, "once as it is, and once for the column that is asked for"


def test_some_rows_are_the_first_the_last_and_those_evenly_between(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracing._some(ROWS).index.tolist() == [0, 1, 2, 3]
    monkeypatch.setattr(tracing, "_ROWS", 3)
    assert tracing._some(ROWS).index.tolist() == [0, 1, 3]


@pytest.mark.parametrize(("events", "others", "is_told"), [(19, 30, False), (20, 20, True), (30, 19, False)])
def test_of_fewer_than_twenty_with_or_without_the_outcome_nothing_is_said(
    events: int, others: int, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "trace", lambda _spec, _cohort: tracing.Traced(("a leak",), (), ()))
    for name in ("shuffled_losses", "fitted_at_once", "alone", "after_horizon"):
        monkeypatch.setattr(tracing, name, lambda *_rest: {})
    monkeypatch.setattr(tracing, "too_good", lambda *_rest: ("too good",))
    y = np.array([1] * events + [0] * others + [1, 0] * 20)
    weight = np.where(np.arange(len(y)) < events + others, 1.0, 0.0)
    cohort = cast(Cohort, SimpleNamespace(y=y, weight=weight))
    spec = cast(ModelSpec, SimpleNamespace())
    assert tracing.leaks_of(spec, cohort) == (["a leak", "too good"] if is_told else [])


def test_the_outcome_is_read_from_its_events_and_times_and_not_from_its_strata() -> None:
    """Shuffled, a row may have the event and the competing one: what is refused then was read too."""
    draw = np.random.default_rng(4)
    event = draw.integers(0, 2, 400)
    rows = pd.DataFrame(
        {
            "years": draw.uniform(0.5, 9.0, 400),
            "event": event,
            "other": np.where(event == 1, 0, draw.integers(0, 2, 400)),
            "cycle": draw.integers(0, 2, 400),
            "noise": draw.random(400),
        }
    )

    def of(**more: Any) -> set[str]:
        follow_up = FollowUp(lambda table: table["years"], lambda table: table["event"], 1.0, **more)
        outcome = OutcomeSpec(column="event", words="had it", horizon_days=1826.25, follow_up=follow_up)
        spec = cast(ModelSpec, SimpleNamespace(outcome=outcome))
        return tracing._behind_outcome(spec, rows, list(rows.columns))

    assert of() == {"years", "event"}
    assert of(competing=lambda table: table["other"]) == {"years", "event", "other"}
    assert of(strata=lambda table: table["cycle"]) == {"years", "event"}
    plain = OutcomeSpec(column="event", words="had it", horizon_days=30)
    spec = cast(ModelSpec, SimpleNamespace(outcome=plain))
    assert tracing._behind_outcome(spec, rows, list(rows.columns)) == {"event"}
