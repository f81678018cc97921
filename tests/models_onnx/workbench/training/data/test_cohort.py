"""Who is trained on, who is left out in which step, and which tables are refused."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import LABS
from models_onnx.workbench.training.data.cohort import Cohort, build_cohort, read_table
from tests.models_onnx.invented import INVENTED


def test_nobody_in_the_cohort_should_have_been_left_out(cohort: Cohort) -> None:
    kept = cohort.rows
    assert kept["age_years"].min() >= 40
    assert not (kept["pregnant"] == 1).any()
    assert (kept["linked"] == 1).all()
    assert kept[list(LABS)].notna().sum(axis=1).min() >= 8


def test_a_patient_in_two_folds_is_refused(rows: pd.DataFrame) -> None:
    stays = replace(INVENTED, row_column="stay")
    twice = rows.iloc[:2].assign(participant_id="one", fold=[0, 1])
    with pytest.raises(TrainingRefused, match="two folds"):
        build_cohort(stays, pd.concat([rows, twice]).assign(stay=range(len(rows) + 2)))


def test_a_table_without_an_input_is_refused_by_name(rows: pd.DataFrame) -> None:
    with pytest.raises(TrainingRefused, match="rdw_pct"):
        build_cohort(INVENTED, rows.drop(columns="rdw_pct"))


def test_a_folder_without_the_table_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match="CDS_DATA_DIR"):
        read_table(INVENTED, tmp_path)
