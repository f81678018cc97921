"""Who is trained on, who is left out in which step, and which tables are refused."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from fhir.record.charts import PatientChart
from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import LABS, LABS_NEEDED
from models_onnx.spec import CohortExclusion, ModelSpec, find_specs
from models_onnx.workbench.training.data.chart_table import OwnEvent, OwnIndex, SiteTable, _rows, feature_table
from models_onnx.workbench.training.data.cohort import (
    Cohort,
    build_cohort,
    input_column,
    read_table,
    why_empty,
)
from tests.models_onnx.invented import INVENTED, invented_table
from tests.models_onnx.workbench.training.data.test_chart_table import TABLE, rows_of, stay, write_bundle


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
    assert "ended with" not in said or "in test_cohort.py, line " in str(refused.value)
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


def test_who_is_of_the_least_age_or_has_the_least_results_stays_and_a_period_has_both_its_ends() -> None:
    specs = find_specs()
    (young,) = (step for step in specs["mortality_5y"].exclusions if step.reason.startswith("under-"))
    assert list(young.leaves_out(pd.DataFrame({"age_years": [39, 40]}))) == [True, False]
    few, period = specs["mortality_5y"].exclusions[-1], specs["mortality_5y"].recalibration
    recorded = [[1.0] * count + [None] * (len(LABS) - count) for count in (LABS_NEEDED - 1, LABS_NEEDED)]
    assert list(few.leaves_out(pd.DataFrame(recorded, columns=list(LABS)))) == [True, False]
    assert period is not None
    years = pd.DataFrame({period.column: [period.since - 1, period.since, period.until, period.until + 1]})
    assert list(period.rows(years)) == [False, True, True, False]
    banded = specs["mortality_5y"].subgroups["age band"](pd.DataFrame({"age_years": [49, 50]}))
    assert list(banded) == ["40-49", "50-59"]
    banded = specs["readmission_30d"].subgroups["age band"](pd.DataFrame({"age": ["[30-40)", "[40-50)", "[80-90)"]}))
    assert list(banded) == ["under 40", "40-49", "80 and over"]


def test_a_group_is_a_column(spec: ModelSpec, table: pd.DataFrame) -> None:
    with pytest.raises(TrainingRefused, match="the subgroup 'all' gives one str"):
        build_cohort(replace(spec, subgroups={**spec.subgroups, "all": lambda _: "all"}), table)


def test_an_input_of_texts_is_told_from_one_that_is_blank(spec: ModelSpec, table: pd.DataFrame) -> None:
    texts = replace(spec, derived={**spec.derived, "sex_male": lambda rows: rows["sex"]})
    assert "60 of its values are texts. Have derived['sex_male'] give numbers" in why_empty(texts, "sex_male", table)
    blank = replace(spec, derived={**spec.derived, "sex_male": lambda rows: rows["sex"].where(rows["age_years"] < 0)})
    assert "all are blank" in why_empty(blank, "sex_male", table)


Json = dict[str, Any]


def charted(*resources: Json, **patient: Any) -> PatientChart:
    """A chart of these resources."""
    return PatientChart({"resourceType": "Patient", "id": "p", "birthDate": "1950-03-01", **patient}, list(resources))


STAY = stay("first", "2020-01-01T10:00:00Z", "2020-01-04T10:00:00Z")


AGAIN = OwnEvent(classes=("IMP",))


def followed(chart: PatientChart, event: Literal["death"] | OwnEvent = AGAIN) -> list[tuple[float, float]]:
    """How long each discharge was followed, and whether the event came."""
    table = SiteTable(horizon_days=1e6, event=event)
    return [(row["followed_days"], row["event"] or 0.0) for row in _rows(table, table.features, chart)]


def test_who_died_is_followed_to_the_death_and_has_no_row_from_then_on() -> None:
    later = stay("later", "2020-02-01T10:00:00Z", "2020-02-03T10:00:00Z")
    died = charted(STAY, later, deceasedDateTime="2020-02-03T10:00:00Z")
    assert followed(died, "death") == [(30.0, 1.0)], "the second discharge is the death itself"
    assert followed(died) == [(28.0, 1.0)]
    after = charted(STAY, later, deceasedDateTime="2020-02-03T10:00:01Z")
    assert [event for _, event in followed(after, "death")] == [1.0, 1.0]
    assert [event for _, event in followed(after)] == [1.0, 0.0], "a death is no readmission"
    assert followed(charted(STAY, later), "death") == [(30.0, 0.0), (0.0, 0.0)]


def test_a_row_is_known_by_the_digest_of_its_patient_its_number_and_its_year() -> None:
    later = stay("later", "2020-12-30T10:00:00Z", "2021-01-01T00:00:00Z")
    digest = hashlib.sha256(b"p").hexdigest()
    names = ("patient", "row", "fold", "year")
    fold = int(digest[:8], 16) % 5
    assert [[row[name] for name in names] for row in rows_of(charted(STAY, later))] == [
        [digest[:16], f"{digest[:16]}-0", fold, 2020],
        [digest[:16], f"{digest[:16]}-1", fold, 2021],
    ]


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    assert len(feature_table(TABLE, (), tmp_path)) == 2
    with pytest.raises(TrainingRefused) as refused:
        feature_table(SiteTable(horizon_days=30, index=OwnIndex(("VR",))), (), tmp_path)
    assert str(refused.value) == f"no chart of {tmp_path} has the index of table.toml"
