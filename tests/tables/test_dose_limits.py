"""Maximum doses against a second reading of their sources, and each of them swept: on it, just below, just above.

The figures of the sweep are those of readings/dose_limits.csv, typed from the source, not those of the product's table;
`read_in` names the document, or its id in cards/rules/families/dose/sources.csv.
"""

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

from cards.rules.families.dose.knowledge import LEADS
from tests.cards.rules.cases import check, family_book, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT
from tests.each import for_each

Row = dict[str, str]

TABLE = ROOT / "cards" / "rules" / "families" / "dose" / "limits.csv"
READING = ROOT / "tests" / "tables" / "readings" / "dose_limits.csv"
UNITS = {
    "max_daily_mg": "mg/day",
    "max_single_mg": "mg/dose",
    "max_daily_mg_kg": "mg/kg/day",
    "max_single_mg_kg": "mg/kg/dose",
}
WHO = ("rxcui", "form", "age_from", "age_to", "condition", "setting", "weight_to_kg")
FORMS = {"slow": " Extended Release Oral Tablet", "immediate": " Oral Tablet", "": ""} | {
    form: f" {form.replace(' h', ' HR')} Extended Release Oral Tablet" for form in ("12 h", "24 h")
}
KILOGRAMS = 20.0


def _rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _name(row: Row) -> str:
    return " ".join(row[column] for column in ("drug", *WHO[1:]) if row[column])


def test_every_limit_is_the_figure_of_the_second_reading() -> None:
    read = {(*(row[column] for column in WHO), row["unit"]): row["most"] for row in _rows(READING)}
    faults = []
    for row in _rows(TABLE):
        for column, unit in UNITS.items():
            key = (*(row[name] for name in WHO), unit)
            if row[column] and read.pop(key, None) != row[column]:
                faults.append(f"{_name(row)}: {column} is {row[column]}, which tests/tables/readings/dose_limits.csv")
    assert not faults, "\n".join(f"{fault} does not say (type the row from its source there)" for fault in faults)
    assert not read, f"read in the source, but not in {TABLE.name}: {sorted(read)}"


def test_the_figures_are_those_of_the_doses_that_were_read(data_folder: Path) -> None:
    """What the file has of the drug at all: its populations are written in words."""
    figures: dict[str, set[float]] = {}
    for name in ("doses/limits.csv", "labels/adult_dose_limits.csv"):
        for row in _rows(data_folder / name):
            amounts = (row["max_single"], row["max_daily"])
            figures.setdefault(row["rxcui"], set()).update(float(one) for one in amounts if _is_number(one))
    # Read elsewhere (sources.csv) or in a note of the file: carvedilol over 85 kg, imipramine of inpatients.
    elsewhere = {("3407", 1.5), ("6809", 2550.0), ("6809", 2000.0), ("20352", 100.0), ("5691", 300.0)}
    elsewhere |= {
        ("723", 90.0),
        ("7052", 5.0),
        ("7052", 10.0),
        ("9997", 400.0),
        ("4603", 600.0),
        ("4603", 6.0),
        ("57258", 36.0),
        ("6185", 2400.0),
        ("10582", 0.3),
    }
    for row in _rows(READING):
        limit = (row["rxcui"], float(row["most"]))
        assert limit in elsewhere or limit[1] in figures[row["rxcui"]], f"{_name(row)}: {row['most']} {row['unit']}"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def test_each_limit_holds_on_it_and_below_and_is_exceeded_just_above(as_of: datetime) -> None:
    def sweep(row: Row) -> None:
        most = float(row["most"]) * (KILOGRAMS if "kg" in row["unit"] else 1.0)
        above = "over_max" if int(row["age_from"]) >= 18 else "over_max_child"
        swept = [_bands(row, milligrams, as_of) for milligrams in (most * 0.999, most, most * 1.001, most * 1.25)]
        below: list[str] = []
        # of a limit that is not firm a thousandth more is rounding
        assert swept[:2] == [below, below], f"{_name(row)}: {row['most']} {row['unit']}"
        assert swept[2] in (below, [above]), f"{_name(row)}: {row['most']} {row['unit']}"
        assert swept[3] == [above], f"{_name(row)}: {row['most']} {row['unit']}"

    # the limit of digoxin is that of a loading day, and a maintenance dose has another row
    waiting = {tuple(row[name] for name in WHO) for row in _rows(TABLE) if row["source"] in LEADS}
    rows = [
        row for row in _rows(READING) if row["drug"] != "digoxin" and tuple(row[name] for name in WHO) not in waiting
    ]
    for_each(((f"{_name(row)} {row['most']} {row['unit']}", (row,)) for row in rows), sweep)


def _bands(row: Row, milligrams: float, as_of: datetime) -> list[str]:
    by_weight = "kg" in row["unit"] or int(row["age_to"] or 200) <= 12
    weight = KILOGRAMS if by_weight else float(row["weight_to_kg"] or 90.0)
    patient: dict[str, Any] = {
        "age": max(int(row["age_from"]), min(int(row["age_to"] or 200), 5 if weight == KILOGRAMS else 12)),
        "labs": [["body_weight", weight, 5], ["creatinine", 0.6]],
        "conditions": [row["condition"]] if row["condition"] else [],
        "inpatient": row["setting"] == "",
    }
    times = 3 if "day" in row["unit"] else 1
    draft = {"drug": f"{row['drug']}{FORMS[row['form']]}", "dose": f"{milligrams / times} mg", "times": times}
    draft["more"] = {"priorPrescription": {"reference": "MedicationRequest/earlier"}}  # titrated drugs begin with less
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)), book=family_book("dose-max"))
    return [band for rule, band, _ in findings(outcome) if rule == "dose-max" and band != "age_not_labelled"]


def test_an_order_without_its_form_has_the_limit_of_the_form_that_allows_more(as_of: datetime) -> None:
    """Metformin that may be a plain tablet: 3,000 mg, not the 2,000 mg of extended release."""
    patient = {"age": 50, "labs": [["creatinine", 0.6]]}
    for milligrams, expected in ((850, []), (1001, ["over_max"])):
        draft = {"drug": "metformin", "dose": f"{milligrams} mg", "times": 3}
        outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)), book=family_book("dose-max"))
        assert [band for rule, band, _ in findings(outcome) if rule == "dose-max"] == expected
