"""What inputs read is found by shuffling columns: leaks and smuggled groups are named, whatever they are called."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.spec import CohortExclusion, ModelSpec
from models_onnx.workbench.gates.evidence import TracedGroups, traced_groups
from models_onnx.workbench.training.data.cohort import build_cohort
from models_onnx.workbench.training.data.leaks import after_horizon, alone, leaks_in_table, losses_without
from models_onnx.workbench.training.data.reads import Reads
from tests.models_onnx.invented import INVENTED


def reading(**derived: Any) -> ModelSpec:
    """The invented model with other derived inputs, and without columns that it names as forbidden."""
    return replace(INVENTED, derived={**INVENTED.derived, **derived}, never_inputs=())


def leaks(spec: ModelSpec, rows: pd.DataFrame) -> tuple[str, ...]:
    """What knows the outcome in this table."""
    cohort = build_cohort(spec, rows)
    return leaks_in_table(spec, cohort, Reads.of(spec, cohort))


def groups(spec: ModelSpec, rows: pd.DataFrame) -> TracedGroups:
    """What the axes do not say."""
    cohort = build_cohort(spec, rows)
    return traced_groups(spec, cohort, Reads.of(spec, cohort))


@pytest.mark.parametrize(
    "column_of",
    [
        lambda table: 85.0 + (table["race_ethnicity"] == "a").astype(float),
        lambda table: table.apply(lambda row: 85.0 + (row["race_ethnicity"] == "a"), axis=1),
        lambda table: table["mcv_fl"] + 0.001 * (table["race_ethnicity"] == "a"),
    ],
)
def test_race_smuggled_in_under_another_name_is_found(rows: pd.DataFrame, column_of: Any) -> None:
    bad = reading(mcv_fl=column_of)
    found = groups(bad, rows)
    assert any(said.startswith("mcv_fl is read from race_ethnicity") for said in found.smuggled)


def test_a_copy_of_race_in_another_column_is_found_by_what_it_tells(rows: pd.DataFrame) -> None:
    table = rows.assign(takes_statin=np.where(rows["race_ethnicity"] == "a", 1.0, 0.0))
    bad = reading(mcv_fl=lambda each: 85.0 + each["takes_statin"])
    found = groups(bad, table)
    assert any("mcv_fl tells a of the axis race" in said for said in found.smuggled)


@pytest.mark.parametrize("column", ["death", "followup_months"])
def test_an_input_read_from_a_column_behind_the_outcome_is_a_leak(rows: pd.DataFrame, column: str) -> None:
    bad = reading(mcv_fl=lambda each: 85.0 + each[column] / 10)
    assert leaks(bad, rows) == (f"mcv_fl is read from {column}, from which the outcome is read",)


@pytest.mark.parametrize(
    ("column_of", "said"),
    [
        (lambda table: 85 + table["participant_id"].str[9:].astype(float) / 100, "which only names a row"),
        (lambda table: pd.Series(85 + np.arange(len(table)) / 100), "the place of a row in the table"),
        (lambda table: pd.Series(85 + table.index.to_numpy() / 100), "the place of a row in the table"),
        (lambda table: 90 + table["mcv_fl"].diff() / 10, "the place of a row in the table"),
    ],
    ids=["id", "count", "index", "row before"],
)
def test_an_input_from_an_id_or_from_the_order_of_the_rows_is_a_leak(
    rows: pd.DataFrame, column_of: Any, said: str
) -> None:
    bad = reading(mcv_fl=column_of)
    found = leaks(bad, rows)
    assert any(each.startswith("mcv_fl is ") and said in each for each in found), found


@pytest.mark.parametrize(
    ("name", "other", "column"),
    [("race", "origin", "race_ethnicity"), ("sex", "kind", "sex"), ("age", "years", "age_years")],
)
def test_an_axis_under_another_name_does_not_count(rows: pd.DataFrame, name: str, other: str, column: str) -> None:
    axes = {other if axis.startswith(name) else axis: of for axis, of in INVENTED.subgroups.items()}
    assert other in axes
    bad = replace(INVENTED, subgroups=axes, standardise_by=None)
    assert groups(bad, rows).unnamed == (column,)


def test_an_axis_called_sex_that_reads_something_else_does_not_count(rows: pd.DataFrame) -> None:
    axes = {**INVENTED.subgroups, "sex": lambda table: (table["bmi_kg_m2"] > 30).astype(str)}
    bad = replace(INVENTED, subgroups=axes)
    assert groups(bad, rows).unnamed == ("sex",)


def test_an_input_made_from_the_label_separates_nobody_after_the_horizon(rows: pd.DataFrame) -> None:
    draw = np.random.default_rng(5)
    told = np.where(draw.random(len(rows)) < 0.25, 1 - rows["death"], rows["death"])
    later = np.where((rows["death"] == 0) & (draw.random(len(rows)) < 0.4), 1.0, 0.0)
    table = rows.assign(
        note=told,
        death=np.maximum(rows["death"], later),
        followup_months=np.where(later == 1, 90, np.where(rows["death"] == 1, rows["followup_months"], 130)),
        cycle_start=2009,
    )
    bad = reading(mcv_fl=lambda each: 85.0 + each["note"])
    cohort = build_cohort(bad, table)
    assert alone(cohort)["mcv_fl"] > 0.7
    assert after_horizon(bad, cohort)["mcv_fl"] < 0.6


@pytest.mark.parametrize("as_text", [False, True])
def test_an_input_that_reads_a_copy_of_the_outcome_is_a_leak_however_little_of_it_gets_in(
    rows: pd.DataFrame, as_text: bool
) -> None:
    cohort = build_cohort(INVENTED, rows)
    happened = pd.Series(cohort.y == 1, index=cohort.rows.index).reindex(rows.index, fill_value=False)
    table = rows.assign(flag=happened.map({True: "yes", False: "no"}) if as_text else happened.astype(float))
    bad = reading(mcv_fl=lambda each: each["mcv_fl"] + 0.1 * each["flag"].isin(["yes", 1.0]))
    (leak,) = leaks(bad, table)
    assert leak.startswith("mcv_fl is read from flag, which tells the outcome by itself (AUROC ")


@pytest.mark.parametrize(
    ("leaves_out", "is_found"),
    [
        (lambda table: (table["death"] == 0) & (table["age_years"] > 70), True),
        (lambda table: (table["death"] == 0) & table["participant_id"].astype(str).str.endswith("3"), True),
        (lambda table: table["followup_months"].isna(), False),
        (lambda table: table["age_years"] > 85, False),
    ],
    ids=["survivors of an age", "survivors by their number", "not followed", "age"],
)
def test_an_exclusion_that_chooses_people_by_what_happened_to_them_is_found(
    rows: pd.DataFrame, leaves_out: Any, is_found: bool
) -> None:
    chosen = replace(INVENTED, exclusions=(*INVENTED.exclusions, CohortExclusion("odd", "odd rows", leaves_out)))
    found = leaks(chosen, rows)
    of_exclusions = [leak for leak in found if "exclusion" in leak]
    assert [leak.startswith("the exclusion 'odd' chooses people by death") for leak in of_exclusions] == [
        True
    ] * is_found


@pytest.mark.parametrize("times", [2, 7, 35])
def test_people_who_are_there_again_under_other_names_are_found(rows: pd.DataFrame, times: int) -> None:
    few = rows[:150]
    again = pd.concat([few.assign(participant_id=few["participant_id"].astype(str) + f"-{n}") for n in range(times)])
    found = leaks(INVENTED, again)
    assert any("rows repeat one of another patient" in leak for leak in found), found


def test_people_who_are_alike_by_chance_are_no_copies(rows: pd.DataFrame) -> None:
    alike = rows.assign(**{name: rows[name].median() for name in rows.select_dtypes("float") if name.endswith("_dl")})
    assert not any("other names" in leak for leak in leaks(INVENTED, alike))


def test_shuffling_an_input_costs_what_the_model_gains_by_it(rows: pd.DataFrame) -> None:
    cohort = build_cohort(INVENTED, rows)
    place = cohort.features.index("age_years")
    losses = {name: loss.shuffled for name, loss in losses_without(lambda X: X[:, place], cohort).items()}
    assert losses["age_years"] == max(losses.values()) > 0.1
    assert losses["mcv_fl"] == 0.0
