"""Small tables that decide an alert, typed a second time from their source; codes against the publisher's list."""

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Final

from cards.rules.engine.rule_book import rule_book
from tests.conftest import ROOT
from tests.tables.product import product_tables

TABLES = ROOT / "fhir" / "terminology" / "tables"

# CDC Clinical Practice Guideline for Prescribing Opioids 2022 (MMWR Recomm Rep 71(3)), table of conversion factors;
# tolerance: section 1 (indications and usage) of the labels of extended-release opioids. Read 2026-11-22.
CDC_2022: Final = {
    "codeine": (0.15, None), "fentanyl": (2.4, 25.0), "hydrocodone": (1.0, 60.0), "hydromorphone": (5.0, 8.0),
    "methadone": (4.7, None), "morphine": (1.0, 60.0), "oxycodone": (1.5, 30.0), "oxymorphone": (3.0, 25.0),
    "tapentadol": (0.4, None), "tramadol": (0.2, None),
}  # fmt: skip
# 21 CFR 101.9(b)(5)(viii): a teaspoon is 5 mL, a tablespoon 15 mL; the rest by the prefixes of UCUM. Read 2026-11-22.
MILLILITRES: Final = {"tsp": 5, "teaspoon": 5, "teaspoons": 5, "[tsp_us]": 5, "tbsp": 15, "tablespoon": 15} | {
    "tablespoons": 15, "[tbs_us]": 15, "ml": 1, "mls": 1, "milliliter": 1, "milliliters": 1, "cc": 1, "l": 1000,
    "teaspoonful": 5, "teaspoonfuls": 5, "tablespoonful": 15, "tablespoonfuls": 15,
    "258773002": 1,  # SNOMED CT: milliliter
}  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_the_factors_of_opioids_are_those_of_cdc_2022() -> None:
    rows = {
        row["name"]: (float(row["factor"]), float(row["tolerance_mg"]) if row["tolerance_mg"] else None)
        for row in _rows(TABLES / "opioids.csv")
    }
    assert rows == CDC_2022


def test_a_unit_of_volume_is_as_many_millilitres_as_its_definition() -> None:
    rows = _rows(TABLES / "dose_units.csv")
    assert {row["text"]: float(row["factor"]) for row in rows if row["kind"] == "mL"} == MILLILITRES
    others = {row["text"]: row["factor"] for row in rows if row["kind"] != "mL" and row["factor"] != "1"}
    assert others == {}, "a tablet, a patch, a puff and a unit of activity count as one"


def test_the_codes_of_high_alert_medicines_are_those_of_atc(data_folder: Path) -> None:
    codes = {row["atc"] for row in _rows(data_folder / "drugnames" / "atc.csv")} | {
        "B01AC16"
    }  # eptifibatide: not listed
    for row in _rows(TABLES / "high_alert.csv"):
        if row["kind"] == "atc":
            unknown = [
                code
                for code in row["values"].replace("-", "").split(";")
                if code not in codes and code[:5] not in codes
            ]
            assert not unknown, f"{row['name']}: {unknown} are no codes of ATC"


def test_every_criterion_of_stopp_is_decided(data_folder: Path) -> None:
    """A criterion is a rule that exists, or says why there is none."""
    rules = {path.stem for path in (ROOT / "cards" / "rules" / "families").rglob("*.json")}
    rules |= {rule.id for rule in rule_book().rules}  # a rule of a row has no file
    rows = {row["criterion"]: row for row in _rows(ROOT / "cards" / "rules" / "families" / "review" / "stopp.csv")}
    read = {
        row["criterion"].removeprefix("STOPP ") for row in _rows(data_folder / "contraindications" / "stopp_v3.csv")
    }
    # Section A is no criterion of a drug or a disease: the source's own table begins with B.
    assert set(rows) == read | {"A1", "A2", "A3"}
    for criterion, row in rows.items():
        assert bool(row["rules"]) != bool(row["left_out"]), criterion
        assert {rule.partition("/")[0] for rule in row["rules"].split(";") if rule} <= rules, criterion


def test_a_code_of_an_allergen_is_of_the_class_that_the_files_say(data_folder: Path) -> None:
    classes = {
        row["code_or_word"]: row["allergen_class"]
        for row in _rows(data_folder / "terminology" / "allergen_words_codes.csv")
    }
    # Our classes on the left; the classes of the file that are part of them on the right.
    same = {
        "beta_lactam_penicillin_allergen": {"penicillin", "aminopenicillin", "beta_lactam"},
        "cephalosporin": {"cephalosporin", "beta_lactam"},
        "sulfa_antibiotic_allergen": {"sulfonamide_antibiotic"},
        "nsaid_allergen_cox1": {"salicylate", "nsaid"},
        "gadolinium_contrast": {"gadolinium_contrast", "iodinated_contrast"},  # "contrast" alone may be either
    }
    faults = [
        f"{row['code']}: {row['value']}, the file has {classes[row['code']]}"
        for row in _rows(TABLES / "allergens.csv")
        if row["meaning"] == "class" and row["code"] in classes
        if classes[row["code"]] not in same.get(row["value"], {row["value"]})
    ]
    assert not faults, "\n".join(faults)


def test_the_types_that_are_not_read_are_resource_types_of_fhir(spec_folder: Path) -> None:
    with gzip.open(spec_folder / "fhir-r4.schema.json.gz") as text:
        types = set(json.load(text)["discriminator"]["mapping"])
    unread = (ROOT / "fhir" / "record" / "unread_types.txt").read_text(encoding="ascii").split()
    assert set(unread) <= types
    assert len(unread) == len(set(unread))


def test_every_loinc_code_of_a_table_has_its_check_digit() -> None:
    """The last digit of a LOINC code follows from the others (Luhn's formula), so that a mistyped code is noticed."""
    codes = [
        (path.name, code)
        for path in sorted(TABLES.glob("*.csv"))
        for row in _rows(path)
        for code in re.findall(r"\b\d{3,6}-\d\b", row.get("loinc") or "")
    ]
    assert len(codes) > 2500
    assert [(name, code) for name, code in codes if _check_digit(code[:-2]) != int(code[-1])] == []


def _check_digit(number: str) -> int:
    doubled = "".join(str(int(digit) * (2 - position % 2)) for position, digit in enumerate(reversed(number)))
    return -sum(map(int, doubled)) % 10


def test_a_drug_and_the_code_beside_it_belong_together(data_folder: Path) -> None:
    """A name and its RxNorm code in one row of any table, by RxNorm's own list of ingredients."""
    names: dict[str, set[str]] = {}
    for row in _rows(data_folder / "drugnames" / "rxnorm_products.csv"):
        if row["tty"] in ("IN", "PIN", "MIN"):
            names.setdefault(row["rxcui"], set()).add(row["name"].lower())
    compared, faults = 0, []
    for table in product_tables():
        for row in _rows(ROOT / table) if table.endswith(".csv") else ():
            for name, code in (("drug", "rxcui"), ("ingredient", "rxcui"), ("a", "a_key"), ("b", "b_key")):
                pairs = zip((row.get(name) or "").split(";"), (row.get(code) or "").split(";"), strict=False)
                for written, rxcui in pairs:
                    if rxcui in names and written:
                        compared += 1
                        name_written = written.lower()
                        if not any(name_written[:5] in known or known[:5] in name_written for known in names[rxcui]):
                            faults.append(f"{table}: {written} {rxcui}, which is {sorted(names[rxcui])}")
    synonyms = ("phytonadione 8308", "vitamin c 1151")
    faults = sorted({fault for fault in faults if not any(name in fault for name in synonyms)})
    assert not faults, "\n".join(faults[:20])
    assert compared > 3000


def test_the_limits_of_kidney_function_are_those_that_were_read(data_folder: Path) -> None:
    leads = _rows(data_folder / "labels" / "kidney.csv")
    read = {(row["rxcui"], float(row["cut_off"])) for row in leads if row["cut_off"]}
    table = ROOT / "cards" / "rules" / "families" / "renal" / "label_kidney.csv"
    drugs = {rxcui for rxcui, _ in read}
    rows = [(row["rxcui"], float(row["below"])) for row in _rows(table) if row["rxcui"] in drugs and not row["most_mg"]]
    assert len(rows) >= 10
    assert [row for row in rows if row not in read] == []
