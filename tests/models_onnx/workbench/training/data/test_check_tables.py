"""What the check finds in tables that were spoiled one way each; and that it gives nobody away."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fhir.mapping.features.catalog import FEATURES
from models_onnx.errors import TrainingRefused, UnknownModel
from models_onnx.models.mortality_5y import SPEC
from models_onnx.workbench.training.crossvalidate import Folds
from models_onnx.workbench.training.data.check_tables import DataReport, check_table, spec_of_table
from models_onnx.workbench.training.data.cohort import build_cohort, read_rows
from models_onnx.workbench.training.data.leaks import copied_rows
from tests.each import for_rows

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


def test_the_model_of_a_table_is_known_by_its_name_or_told(tmp_path: Path) -> None:
    by_name = spec_of_table(Path("nhanes_mortality.csv.gz"), None)
    assert by_name is not None
    assert by_name.id == "mortality_5y"
    assert spec_of_table(Path("mine.csv"), "mortality_5y") is SPEC
    with pytest.raises(UnknownModel, match="no model"):
        spec_of_table(tmp_path / "mine.csv", "mine")


def test_people_who_are_alike_by_chance_are_no_copies_and_a_table_of_no_model_is_refused(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    few_kinds = pd.DataFrame({name: draw.integers(0, 4, 5000) for name in "abcdefg"})
    assert copied_rows(few_kinds) == 0, "people of few answers are alike by chance"
    with pytest.raises(TrainingRefused, match="no model is declared whose table is called extract: name one with --mo"):
        spec_of_table(tmp_path / "extract.csv", None)


def test_people_of_a_models_table_who_are_there_twice_are_an_error(rows: pd.DataFrame, tmp_path: Path) -> None:
    some = rows[:: max(1, len(rows) // 100)]
    renamed = some.assign(**{SPEC.patient_column: [f"again{n}" for n in range(len(some))]})
    report = checked(pd.concat([rows, renamed]), tmp_path)
    assert any("rows repeat one of another patient" in finding.text for finding in report.findings)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a;b\n1;2\n", "its columns are separated by ';'"),
        ("a,b\n", "has no row beneath its header"),
        ("a,b,a\n1,2,3\n", "has the column 'a' twice"),
        ("a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3"),
        ('{"a": 1}\n', "is no CSV file"),
        ("PK\x03\x04,b\n1,2\n", "is no CSV file"),
    ],
)
def test_a_file_that_would_be_read_as_another_table_is_refused(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(TrainingRefused, match=said):
        read_rows(SPEC, tmp_path / "rows.csv")


def test_folds_that_nobody_drew_hold_each_patient_once_and_need_patients(rows: pd.DataFrame) -> None:
    without = rows.drop(columns=SPEC.fold_column)
    cohort = build_cohort(SPEC, without)
    assert set(cohort.fold) == set(range(5))
    assert pd.Series(cohort.fold).groupby(cohort.patient).nunique().max() == 1
    by_row = replace(SPEC, row_column="row")
    alone = build_cohort(by_row, without.assign(row=range(len(without)), **{SPEC.patient_column: "p"}))
    with pytest.raises(TrainingRefused, match=f"names 1 patients in its column {SPEC.patient_column}"):
        Folds(by_row, alone, SPEC.feature_names)


CREATININE = "creatinine_mg_dl"


def test_the_limits_of_creatinine_are_those_of_these_tests() -> None:
    feature = FEATURES[CREATININE]
    assert (feature.plausible_low, feature.plausible_high, feature.unit) == (0.1, 20.0, "mg/dL")


def _people(columns: int = 4, count: int = 50) -> pd.DataFrame:
    """People of whom no two have any answer in common."""
    return pd.DataFrame({f"c{column}": np.arange(count) * 10 + column for column in range(columns)})


@for_rows("times", [1, 2, 3, 6])
def test_each_further_copy_of_a_person_is_counted(times: int) -> None:
    people = _people()
    assert copied_rows(pd.concat([people, *[people[:7]] * (times - 1)], ignore_index=True)) == 7 * (times - 1)


def test_fewer_than_four_columns_of_several_answers_say_nothing() -> None:
    for columns, copies in ((4, 5), (3, 0)):
        people = pd.concat([_people(columns), _people(columns)[:5]], ignore_index=True)
        assert copied_rows(people.assign(same=1)) == copies
    assert copied_rows(pd.DataFrame({"a": [1, 1]})) == 0


def test_rows_of_one_patient_are_no_copies_and_count_once() -> None:
    people = pd.concat([_people(), _people()[:5], _people()[:5]], ignore_index=True)
    same = np.concatenate([np.arange(50), np.arange(5), np.arange(5)])
    assert copied_rows(people, same) == 0
    other = np.concatenate([np.arange(50), np.arange(5), 100 + np.arange(5)])
    assert copied_rows(people, other) == 5
