"""What the check finds in tables that were spoiled one way each; and that it gives nobody away."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_onnx.models.mortality_5y import SPEC
from models_onnx.workbench.training.data.check_tables import DataReport, check_table
from models_onnx.workbench.training.data.leaks import copied_rows

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def checked(rows: pd.DataFrame, folder: Path) -> DataReport:
    """The report on these rows as the study's table."""
    path = folder / SPEC.table
    rows.to_csv(path, index=False)
    return check_table(SPEC, path)


def errors(report: DataReport) -> set[tuple[str, str]]:
    """Kind and place of every error."""
    return {(each.kind, each.where) for each in report.findings if each.severity == "error"}


def test_a_table_as_it_should_be_has_no_error(rows: pd.DataFrame, tmp_path: Path) -> None:
    sound = rows.assign(**{name: rows[name].clip(*limits) for name, limits in LIMITS.items()})
    report = checked(sound, tmp_path)
    assert errors(report) == set()
    assert report.passed
    assert "look-ahead-column" in {each.kind for each in report.findings}


LIMITS = {
    "albumin_g_dl": (3.0, 5.0),
    "alp_u_l": (20, 200),
    "bun_mg_dl": (2, 40),
    "creatinine_mg_dl": (0.3, 3.0),
    "glucose_mg_dl": (40, 290),
    "bilirubin_total_mg_dl": (0.1, 2.0),
    "wbc_10e3_ul": (2, 15),
    "rbc_10e6_ul": (3, 6.5),
    "mcv_fl": (65, 110),
    "rdw_pct": (11, 18),
    "lymphocytes_pct": (5, 60),
    "sbp_mmhg": (80, 200),
    "dbp_mmhg": (30, 110),
    "bmi_kg_m2": (13, 60),
}


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (
            lambda rows: rows.assign(creatinine_mg_dl=rows["creatinine_mg_dl"] * 88.4),
            ("not-trainable", "table"),
        ),
        (lambda rows: pd.concat([rows, rows.iloc[:3]]), ("not-trainable", "table")),
        (lambda rows: rows.drop(columns="mcv_fl"), ("not-trainable", "table")),
        (lambda rows: rows.drop(columns="sex"), ("not-trainable", "table")),
        (lambda rows: rows.assign(followup_months=-1), ("not-trainable", "table")),
    ],
    ids=["unit of a column", "row twice", "no input", "no sex", "negative time"],
)
def test_what_is_spoiled_is_found_where_it_is(
    spoil: Spoil, found: tuple[str, str], rows: pd.DataFrame, tmp_path: Path
) -> None:
    assert found in errors(checked(spoil(rows), tmp_path))


@pytest.mark.slow
def test_people_of_a_models_table_who_are_there_twice_are_an_error(rows: pd.DataFrame, tmp_path: Path) -> None:
    some = rows[:: max(1, len(rows) // 100)]
    renamed = some.assign(**{SPEC.patient_column: [f"again{n}" for n in range(len(some))]})
    report = checked(pd.concat([rows, renamed]), tmp_path)
    assert any("rows repeat one of another patient" in finding.text for finding in report.findings)


def _people(columns: int = 4, count: int = 50) -> pd.DataFrame:
    """People of whom no two have any answer in common."""
    return pd.DataFrame({f"c{column}": np.arange(count) * 10 + column for column in range(columns)})


def test_rows_of_one_patient_are_no_copies_and_count_once() -> None:
    people = pd.concat([_people(), _people()[:5], _people()[:5]], ignore_index=True)
    same = np.concatenate([np.arange(50), np.arange(5), np.arange(5)])
    assert copied_rows(people, same) == 0
    other = np.concatenate([np.arange(50), np.arange(5), 100 + np.arange(5)])
    assert copied_rows(people, other) == 5
