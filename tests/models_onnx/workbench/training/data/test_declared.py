"""Functions of a declaration that fail, or give something else than a value for each row, are told in a sentence."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import CohortExclusion, ModelSpec, find_specs
from models_onnx.workbench.training.data.cohort import build_cohort, input_column, why_empty
from tests.models_onnx.invented import invented_table

FAULTS: list[tuple[Callable[[pd.DataFrame], Any], str]] = [
    (lambda _: 50, "gives one int: have it give a value for each row"),
    (lambda _: None, "gives one NoneType"),
    (lambda table: table[["bun_mg_dl"]], "gives one DataFrame"),
    (lambda table: table["bun_mg_dl"].dropna()[:7], "gives 7 values for 60 rows: rows without a value stay, as NaN"),
    (lambda _: 1 / 0, "ended with ZeroDivisionError"),
    (lambda table: table["sex"].astype(float), "ended with ValueError"),
    (lambda table: pd.to_datetime(table["sex"], format="%d/%m/%Y"), "ended with ValueError"),
    (lambda table: table["bun_mg_dl"].sort_values(), "in another order than the rows"),
]


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    """A declaration of the project, which these tests change."""
    return find_specs()["mortality_5y"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Sixty invented people."""
    return invented_table(people=60)


@pytest.mark.parametrize(("function", "said"), FAULTS)
def test_an_input_that_cannot_be_read_is_a_sentence(
    spec: ModelSpec, table: pd.DataFrame, function: Callable[[pd.DataFrame], Any], said: str
) -> None:
    changed = replace(spec, derived={**spec.derived, "bun_mg_dl": function})
    with pytest.raises(TrainingRefused, match=said) as refused:
        input_column(changed, "bun_mg_dl", table)
    assert "the input bun_mg_dl" in str(refused.value)
    assert "ended with" not in said or "in test_declared.py, line " in str(refused.value)
    assert "female" not in str(refused.value), "the words of an error may hold a value of a row"


def test_a_column_an_array_and_a_list_are_values_for_each_row(spec: ModelSpec, table: pd.DataFrame) -> None:
    ways: list[Callable[[pd.DataFrame], Any]] = [
        lambda rows: rows["bun_mg_dl"],
        lambda rows: rows["bun_mg_dl"].to_numpy(),
        lambda rows: list(rows["bun_mg_dl"]),
    ]
    for way in ways:
        changed = replace(spec, derived={**spec.derived, "bun_mg_dl": way})
        assert (input_column(changed, "bun_mg_dl", table) == table["bun_mg_dl"].to_numpy()).sum() > 40


@pytest.mark.parametrize(
    ("leaves_out", "said"),
    [
        (lambda _: False, "the exclusion 'odd' gives one bool"),
        (lambda table: (table["age_years"] < 50).where(table.index > 9), "says neither yes nor no of 10 rows"),
        (lambda table: table["nowhere"], "the exclusion 'odd' reads the column 'nowhere'"),
    ],
)
def test_an_exclusion_says_yes_or_no_of_each_row(
    spec: ModelSpec, table: pd.DataFrame, leaves_out: Callable[[pd.DataFrame], Any], said: str
) -> None:
    odd = CohortExclusion("odd", "odd people", leaves_out, "outside-population")
    with pytest.raises(TrainingRefused, match=said):
        build_cohort(replace(spec, exclusions=(odd,)), table)


def test_a_group_is_a_column(spec: ModelSpec, table: pd.DataFrame) -> None:
    with pytest.raises(TrainingRefused, match="the subgroup 'all' gives one str"):
        build_cohort(replace(spec, subgroups={**spec.subgroups, "all": lambda _: "all"}), table)


def test_an_input_of_texts_is_told_from_one_that_is_blank(spec: ModelSpec, table: pd.DataFrame) -> None:
    texts = replace(spec, derived={**spec.derived, "sex_male": lambda rows: rows["sex"]})
    assert "60 of its values are texts. Have derived['sex_male'] give numbers" in why_empty(texts, "sex_male", table)
    blank = replace(spec, derived={**spec.derived, "sex_male": lambda rows: rows["sex"].where(rows["age_years"] < 0)})
    assert "all are blank" in why_empty(blank, "sex_male", table)
