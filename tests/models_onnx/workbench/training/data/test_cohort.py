"""Who is trained on, who is left out in which step, and which tables are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import LABS
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort, inputs_of, read_table, without_implausible
from tests.models_onnx.invented import INVENTED


def test_every_row_is_either_left_out_in_one_step_or_trained_on(rows: pd.DataFrame, cohort: Cohort) -> None:
    assert cohort.table_rows == len(rows) == sum(left.count for left in cohort.left_out) + len(cohort)
    assert [left.reason for left in cohort.left_out] == ["under-40", "pregnant", "not-linked", "few-labs"]
    assert all(left.count > 0 for left in cohort.left_out)


def test_nobody_in_the_cohort_should_have_been_left_out(cohort: Cohort) -> None:
    kept = cohort.rows
    assert kept["age_years"].min() >= 40
    assert not (kept["pregnant"] == 1).any()
    assert (kept["linked"] == 1).all()
    assert kept[list(LABS)].notna().sum(axis=1).min() >= 8


def test_age_is_clipped_to_80_and_sex_becomes_a_number(cohort: Cohort) -> None:
    assert cohort.rows["age_years"].max() > 80
    assert cohort.X[:, 0].max() == 80
    assert (cohort.X[:, 1] == (cohort.rows["sex"] == "male")).all()


def test_missing_values_stay_missing(cohort: Cohort) -> None:
    assert np.isnan(cohort.X[:, 2:]).any()
    assert not np.isnan(cohort.X[:, :2]).any()


def test_a_person_twice_is_refused_because_folds_would_leak(rows: pd.DataFrame) -> None:
    with pytest.raises(TrainingRefused, match="twice"):
        build_cohort(INVENTED, pd.concat([rows, rows.iloc[:1]]))


def test_a_patient_in_two_folds_is_refused(rows: pd.DataFrame) -> None:
    stays = replace(INVENTED, row_column="stay")
    twice = rows.iloc[:2].assign(participant_id="one", fold=[0, 1])
    with pytest.raises(TrainingRefused, match="two folds"):
        build_cohort(stays, pd.concat([rows, twice]).assign(stay=range(len(rows) + 2)))


def test_nothing_is_learned_from_a_value_that_the_bedside_would_refuse(rows: pd.DataFrame) -> None:
    wild = rows.assign(dbp_mmhg=rows["dbp_mmhg"].where(np.arange(len(rows)) > 0, 5000.0))
    X = inputs_of(INVENTED, wild)
    column = INVENTED.feature_names.index("dbp_mmhg")
    assert X[0, column] == 5000.0
    assert np.isnan(without_implausible(INVENTED, X)[0, column])


def test_text_that_is_no_number_is_missing(rows: pd.DataFrame) -> None:
    column = INVENTED.feature_names.index("albumin_g_dl")
    X = inputs_of(INVENTED, rows.assign(albumin_g_dl=rows["albumin_g_dl"].astype(object).where(rows.index > 0, "<0.1")))
    assert np.isnan(X[0, column])
    assert np.array_equal(X[1:], inputs_of(INVENTED, rows)[1:], equal_nan=True)


def test_a_table_without_an_input_is_refused_by_name(rows: pd.DataFrame) -> None:
    with pytest.raises(TrainingRefused, match="rdw_pct"):
        build_cohort(INVENTED, rows.drop(columns="rdw_pct"))


def test_a_folder_without_the_table_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match="CDS_DATA_DIR"):
        read_table(INVENTED, tmp_path)


def test_a_table_is_read_with_the_digest_of_its_bytes(rows: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "tabular").mkdir()
    path = tmp_path / "tabular" / INVENTED.table
    rows.to_csv(path, index=False)
    table = read_table(INVENTED, tmp_path)
    assert len(table.rows) == len(rows)
    assert len(table.sha256) == 64


def test_an_input_that_is_read_from_the_outcome_is_not_trained_on(rows: pd.DataFrame) -> None:
    leaking = replace(INVENTED, derived={**INVENTED.derived, "dbp_mmhg": lambda table: 60 + 40 * table["death"]})
    with pytest.raises(TrainingRefused, match="dbp_mmhg is read from a column that no input may be"):
        build_cohort(leaking, rows)
