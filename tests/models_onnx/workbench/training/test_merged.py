"""An axis that calls two groups by one name, or a group "not recorded", hides nothing from gate G9."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import ModelSpec
from models_onnx.workbench.gates.subject import InputEvidence
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort
from models_onnx.workbench.training.groups import figures_within_groups, hidden_groups
from tests.models_onnx.invented import INVENTED, invented_table
from tests.models_onnx.workbench.gates.judging import judge
from tests.models_onnx.workshop import figured, subject

RACE = "race and ethnicity (fairness only)"


def declared(race: dict[str, Any]) -> ModelSpec:
    """The invented model with an axis of race that gives each recorded value this name."""
    axes = {**INVENTED.subgroups, RACE: lambda table: table["race_ethnicity"].map(race)}
    return replace(INVENTED, subgroups=axes)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Enough people for a verdict on each recorded value."""
    return invented_table(people=6000)


def unfair(cohort: Cohort) -> Any:
    """Probabilities that rise with age, and are lowered for the people recorded as a."""
    margin = 0.08 * (cohort.rows["age_years"].to_numpy() - 75.0)
    return 1 / (1 + np.exp(-(margin - 1.5 * (cohort.rows["race_ethnicity"].to_numpy() == "a"))))


def test_values_under_one_name_are_judged_apart_and_their_gap_fails_the_gate(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    spec = declared({"a": "all", "b": "all", "c": "c"})
    cohort = build_cohort(spec, table)
    found = figures_within_groups(spec, cohort, unfair(cohort), 0.5)
    assert [(each["axis"], each["group"]) for each in found] == [
        (f"{RACE}, within 'all'", "race_ethnicity a"),
        (f"{RACE}, within 'all'", "race_ethnicity b"),
    ]
    assert found[0]["sensitivity"]["value"] < found[1]["sensitivity"]["value"] - 0.1
    result = judge(subject(tmp_path), "G9", figured(inputs=InputEvidence(alone={}, merged=found)))
    assert result.status == "failed"
    assert "within 'all': sensitivity of race_ethnicity a" in result.why
    assert "the axis calls them by one name: name them apart" in result.why


def test_a_value_whose_people_an_axis_scatters_into_small_groups_is_judged_as_one(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    def by_age(rows: pd.DataFrame) -> Any:
        return rows["race_ethnicity"] + (rows["age_years"] % 20).astype(str)

    scattered = replace(INVENTED, subgroups={**INVENTED.subgroups, RACE: by_age})
    cohort = build_cohort(scattered, table)
    found = figures_within_groups(scattered, cohort, unfair(cohort), 0.5)
    assert {each["axis"] for each in found} == {f"{RACE}, by race_ethnicity"}
    assert [each["group"] for each in found[:2]] == ["a", "b"]
    result = judge(subject(tmp_path), "G9", figured(inputs=InputEvidence(alone={}, merged=found)))
    assert result.status == "failed"
    assert "by race_ethnicity: sensitivity of a" in result.why
    assert "the axis splits them into groups that are too small to judge" in result.why


def test_values_under_one_name_that_are_treated_alike_are_no_fault(table: pd.DataFrame) -> None:
    spec = declared({"a": "all", "b": "all", "c": "c"})
    cohort = build_cohort(spec, table)
    fair = 1 / (1 + np.exp(-0.08 * (cohort.rows["age_years"].to_numpy() - 75.0)))
    one, other = figures_within_groups(spec, cohort, fair, 0.5)
    assert abs(one["sensitivity"]["value"] - other["sensitivity"]["value"]) < 0.1


def test_values_with_names_of_their_own_are_judged_as_groups_and_not_again(table: pd.DataFrame) -> None:
    spec = declared({"a": "A", "b": "B", "c": "C"})
    cohort = build_cohort(spec, table)
    assert figures_within_groups(spec, cohort, unfair(cohort), 0.5) == ()
    assert hidden_groups(spec, cohort) == ()


@pytest.mark.parametrize("name", ["not recorded", None])
def test_a_recorded_group_that_counts_as_not_recorded_fails_the_gate(
    name: str | None, table: pd.DataFrame, tmp_path: Path
) -> None:
    spec = declared({"a": name, "b": "B", "c": "C"})
    (said,) = hidden_groups(spec, build_cohort(spec, table))
    assert said.startswith(f"{RACE}: 'a' of the column race_ethnicity counts as not recorded (")
    result = judge(subject(tmp_path), "G9", figured(inputs=InputEvidence(alone={}, hidden=(said,))))
    assert result.status == "failed"
    assert "so no figure is of these people" in result.why


def test_a_value_that_says_that_nothing_is_known_is_not_recorded(table: pd.DataFrame) -> None:
    spec = declared({"?": "not recorded", "b": "B", "c": "C"})
    unknown = table.assign(race_ethnicity=table["race_ethnicity"].replace("a", "?"))
    assert hidden_groups(spec, build_cohort(spec, unknown)) == ()
