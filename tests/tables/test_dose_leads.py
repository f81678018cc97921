"""Limits that were read on pages that are no label: their figures are those of the file that names the pages."""

import csv
from collections import defaultdict
from pathlib import Path

from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import INGREDIENTS
from tests.conftest import ROOT

TABLE = ROOT / "cards" / "rules" / "families" / "dose" / "leads.csv"
AMOUNTS = ("max_single_mg", "max_daily_mg", "max_weekly_mg", "max_single_mg_kg", "max_daily_mg_kg")
COLUMNS = {
    "adult_dose_limits.csv": ("usual_start", "max_single", "max_daily"),
    "paediatric_dose_limits.csv": ("mg_per_kg_dose_max", "mg_per_kg_day_max", "absolute_max_single",
                                   "absolute_max_daily"),
}  # fmt: skip
MILLIGRAMS = {"ug": 0.001, "ug/kg": 0.001, "g": 1000.0}
# Named in a note of the file or of its README, because the page is about another use of the drug.
IN_NOTES = {
    ("amoxicillin", 90.0),
    ("amoxicillin", 50.0),
    ("apixaban", 20.0),
    ("clonidine", 2.4),
    ("dexamethasone", 0.6),
    ("famotidine", 80.0),
    ("griseofulvin", 25.0),
    ("haloperidol", 15.0),
    ("hydroxyurea", 35.0),
    ("lenalidomide", 25.0),
    ("losartan", 1.4),
    ("minoxidil", 100.0),
    ("propranolol", 640.0),
    ("tadalafil", 40.0),
    ("tamoxifen", 40.0),
}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _amount(row: dict[str, str]) -> float:
    (amount,) = (float(row[column]) for column in AMOUNTS if row[column])
    return amount


def test_a_row_has_one_amount_of_a_known_drug_and_is_never_firm() -> None:
    for row in _rows(TABLE):
        assert _amount(row) > 0.0
        assert INGREDIENTS[row["rxcui"]].name == row["drug"]
        assert row["is_firm"] in ("no", "narrow", "wide")
        assert row["page"]
        assert row["route"] in ("", "any", "injected", "nasal")
        assert row["population"] in ("", "first order", "continued", "one dose")
        assert {row["condition"], row["without_condition"]} <= {"", *CONDITION_GROUPS}


def test_the_figures_are_those_of_the_pages_that_were_read(data_folder: Path) -> None:
    figures: dict[str, set[float]] = defaultdict(set)
    for name, columns in COLUMNS.items():
        for row in _rows(data_folder / "labels" / name):
            factor = MILLIGRAMS.get(row["unit"], 1.0)
            for text in (row[column] for column in columns):
                names = {*row["ingredient"].split("/"), row["ingredient"]}
                for drug in names | ({"valproate"} if row["ingredient"] == "divalproex" else set()):
                    figures[drug] |= {round(float(part) * factor, 9) for part in text.split("-") if _is_number(part)}
    figures["prednisone"] |= figures["prednisolone"]
    faults = [
        f"{row['drug']} {_amount(row):g}"
        for row in _rows(TABLE)
        if row["source"] == "consumer_page"
        and (row["drug"], _amount(row)) not in IN_NOTES
        and round(_amount(row), 9) not in figures[row["drug"]]
    ]
    assert faults == []


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()
