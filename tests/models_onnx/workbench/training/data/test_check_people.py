"""What the check finds in the table of people for PREVENT that was spoiled one way each."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.data.check_tables import check_people, is_people_table

PERSON = {
    "participant_id": "1999_1",
    "age_years": "60",
    "sex": "female",
    "smoking": "never",
    "chol_total_mg_dl": "200",
    "hdl_mg_dl": "50",
    "sbp_mmhg": "130",
    "diabetes": "0",
    "bmi_kg_m2": "27",
    "egfr_ckdepi2021": "85",
    "bp_medication": "1",
    "lipid_lowering": "0",
    "death_10y": "0",
    "death_heart_10y": "0",
}
Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def found(folder: Path, spoil: Spoil) -> set[tuple[str, str, str]]:
    """Kind, severity and place of what is said of ten people."""
    people = pd.DataFrame([{**PERSON, "participant_id": f"1999_{number}"} for number in range(10)])
    path = folder / "nhanes_prevention.csv.gz"
    spoil(people).to_csv(path, index=False)
    return {(each.kind, each.severity, each.where) for each in check_people(path).findings}


def first(column: str, value: str) -> Spoil:
    """Gives the first person this value."""
    return lambda people: people.assign(**{column: [value, *people[column][1:]]})


def test_people_as_they_should_be_have_nothing_said_of_them(tmp_path: Path) -> None:
    assert found(tmp_path, lambda people: people) == set()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda people: people.drop(columns="egfr_ckdepi2021"), ("missing-column", "error", "columns")),
        (first("participant_id", "1999_3"), ("duplicate-key", "error", "participant_id")),
        (first("participant_id", ""), ("empty-key", "error", "participant_id")),
        (first("sex", "F"), ("unknown-word", "error", "sex")),
        (first("sbp_mmhg", "high"), ("not-a-number", "warning", "sbp_mmhg")),
        (first("sbp_mmhg", "210"), ("out-of-range", "note", "sbp_mmhg")),
        (first("diabetes", "2"), ("not-yes-or-no", "error", "diabetes")),
        (lambda people: people.assign(chol_total_mg_dl="5.2"), ("unit-shift", "error", "chol_total_mg_dl")),
        (first("death_heart_10y", "1"), ("contradiction", "error", "death_heart_10y")),
    ],
)  # fmt: skip
def test_what_is_spoiled_is_found_where_it_is(tmp_path: Path, spoil: Spoil, expected: tuple[str, str, str]) -> None:
    assert expected in found(tmp_path, spoil)


def test_the_table_is_known_by_its_name_and_must_be_one(tmp_path: Path) -> None:
    assert is_people_table(Path("nhanes_prevention.csv"))
    assert not is_people_table(Path("support2.csv.gz"))
    with pytest.raises(TrainingRefused, match="cannot be read"):
        check_people(tmp_path / "nhanes_prevention.csv.gz")
