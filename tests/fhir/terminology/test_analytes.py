"""The table of analytes is complete and says one thing only."""

import csv
from pathlib import Path

from fhir.mapping.weights import BOUNDS
from fhir.terminology.analytes import ANALYTES, analyte_of_full_name, analyte_of_name, another_test_of
from tests.each import for_rows


def test_no_code_belongs_to_two_analytes() -> None:
    codes = [code for analyte in ANALYTES.values() for code in analyte.loinc]
    assert len(codes) == len(set(codes))


def test_lactate_is_not_lactate_dehydrogenase() -> None:
    assert not set(ANALYTES["lactate"].loinc) & set(ANALYTES["ldh"].loinc)


def test_red_cell_width_as_sd_is_not_taken_for_cv() -> None:
    assert "21000-5" not in ANALYTES["rdw_cv"].loinc


def test_where_two_sources_differ_the_narrower_plausible_range_stands(data_folder: Path) -> None:
    same = {"bilirubin": "bilirubin_total", "a1c": "hba1c", "weight": "body_weight", "height": "body_height"}
    with (data_folder / "medications" / "labs.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            analyte = ANALYTES.get(same.get(row["key"], row["key"]))
            if analyte is not None and row["plausible_low"]:
                # A neonate born too early weighs less than the sources say: weights are judged by age (weights.py).
                low = BOUNDS[0].least_kg if analyte.key == "body_weight" else float(row["plausible_low"])
                low = 0.001 if analyte.key == "tsh" else low  # third-generation assays report 0.005
                assert analyte.plausible_low >= low
                assert analyte.plausible_high <= float(row["plausible_high"])


@for_rows(
    ("analyte", "units", "factor"),
    [
        ("platelets", ("Thousand/uL", "x10(3)/mcL", "K/cumm", "10*3/µL", "G/L", "x10^9/L", "K / uL"), 1.0),
        ("platelets", ("/mm3", "cells/uL", "/mcL"), 0.001),
        ("uacr", ("mg/g{creat}", "mg/g creat", "MG/G CREAT", "mcg/mg", "µg/mg", "ug/mg{creat}"), 1.0),
        ("uacr", ("mg/mmol{creat}", "mg/mmol Cr", "g/mol"), 8.84),
        ("ast", ("units/L", "[IU]/L"), 1.0),
        ("ast", ("ukat/L", "µkat/L"), 60.0),
        ("potassium", ("umol/L",), 0.001),
        ("potassium", ("mol/L", "mmol/mL"), 1000.0),
        ("creatinine", ("g/L",), 100.0),
        ("hemoglobin", ("g/mL", "kg/L"), 100.0),
        ("platelets", ("10*6/L",), 0.001),
        ("cholesterol_total", ("mg%", "mg / dL", "mg/100 mL"), 1.0),
    ],
)
def test_units_are_read_as_laboratories_write_them(analyte: str, units: tuple[str, ...], factor: float) -> None:
    for unit in units:
        conversion = ANALYTES[analyte].conversion(unit)
        assert conversion is not None, unit
        assert (conversion.factor, conversion.offset) == (factor, 0.0), unit


@for_rows(
    ("analyte", "unit"), [("uacr", "mg/dL"), ("platelets", "mg/g"), ("uacr", "mg/g{prot}"), ("hba1c", "umol/mol")]
)
def test_a_unit_of_something_else_is_not_read(analyte: str, unit: str) -> None:
    assert ANALYTES[analyte].conversion(unit) is None


def test_a_result_is_named_in_up_to_160_signs_with_accents_or_without() -> None:
    assert [analyte_of_name("Sodium".ljust(length)) for length in (160, 161)] == ["sodium", None]
    assert [analyte_of_name(name) for name in ("Créatinine", "Sodium (urine)")] == ["creatinine", None]


_NAMES = {
    "potassium": "K+ (serum)|Kalium i.S.|Potassium, plasma|Kalium (Plasma)|P-Kalium|"
    "S-K|Kaliémie|Potassemia|Kalium-BGA|LABOR: Kalium",
    "sodium": "Na serum|Natrium i. Plasma|Sodium sanguin|Sodio en suero",
    "creatinine": "Creat|Kreatinin i.S.|Créatinine plasmatique|Creatinina sérica|P-Kreatinin|Creatinina sierica",
    "egfr": "eGFR (CKD-EPI)|GFR CKD-EPI 2009|DFG estimé|"
    "Filtrado glomerular estimado|eGFR non-African American|GFR geschätzt (CKD-EPI)",
    "hemoglobin": "Hb|Hämoglobin|Hémoglobine|Hemoglobina|B-Hb",
    "platelets": "PLT count|Thrombozyten|Plaquettes sanguines|Plaquetas|Thrombozyten (EDTA)|Platelets (auto)",
    "inr": "INR (POC)|Prothrombin time INR",
    "glucose_fasting": "Glucose, fasting, serum|Blutzucker nüchtern|Glycémie à jeun",
    "hba1c": "HbA1c (IFCC)|Hemoglobin A1c|HbA1c glykiert",
    "alt": "GPT (ALAT)|ALT, serum|P-ALAT",
    "ast": "GOT|AST (SGOT)",
    "tsh": "TSH basal|TSH ultrasensible|TSH (3rd gen)",
    "qtc": "QTc (Bazett)|EKG: QTc|QTcF",
    "lvef": "FEVG|LV-EF (biplan)|Ejektionsfraktion|LVEF by TTE",
    "ldl_cholesterol": "LDL-Cholesterin|LDL-C calculated|Colesterol LDL",
    "calcium": "Calcium, total|Calcio total",
    "magnesium": "Mg serum",
    "bilirubin_total": "Bilirubin gesamt|Total bili",
    "albumin": "Albumin i.S.",
    "wbc": "WBC count|Leukozyten",
    "digoxin_level": "Digoxin level",
    "lithium_level": "Lithium trough",
    "heart_rate": "Apical heart rate",
}
_OF_SOMETHING_ELSE = (
    "Kalium im Urin|Creatinine, urine|Glukose im Liquor|Albumin/creatinine ratio|"
    "Hb-Elektrophorese HbS|Free hemoglobin plasma|Sodium intake|dU-Kalium|"
    "Kaliurese|Hemoglobin S|Protein S|RVEF|Potassium chloride given|"
    "Urine sodium|Calcium score|K+ sweat|"
    "Platelet volume mean|Creatinine clearance 24h urine|LDL/HDL ratio|TSH receptor antibody"
)


def test_a_result_is_read_by_its_name_with_the_specimen_and_the_method_in_seven_languages() -> None:
    read = {key: [analyte_of_name(name) for name in names.split("|")] for key, names in _NAMES.items()}
    assert read == {key: [key] * len(names.split("|")) for key, names in _NAMES.items()}
    assert [name for name in _OF_SOMETHING_ELSE.split("|") if analyte_of_name(name) is not None] == []


@for_rows(
    ("name", "analyte"),
    [
        ("LDLc SerPl Calc-mCnc", "ldl_cholesterol"),
        ("Urea nitrogen:SCnc:Pt:Ser/Plas:Qn:", "bun"),
        ("P—Kalium-ion; stofk. = ? mmol/L", "potassium"),
        ("P—Koagulation, vævsfaktor-induceret; rel.tid(aktuel/norm; INR; IRP 67/40; proc.) = ?", "inr"),
        ("U—Kalium-ion; stofk. = ? mmol/L", None),
        ("Potassium:SCnc:Pt:Urine:Qn:", None),
        ("Systolic Blood Pressure", "sbp"),
        ("Left ventricular ejection fraction", "lvef"),
        ("Serum triglyceride", "triglycerides"),
        ("Triglyceride", None),
        ("Hemoglobin [Presence] in Blood", None),
        ("Cholesterol in LDL/Cholesterol in HDL [Mass Ratio] in Serum or Plasma", None),
    ],
)
def test_the_full_names_of_loinc_and_npu_say_what_is_measured_in_what(name: str, analyte: str | None) -> None:
    assert analyte_of_full_name(name) == analyte


@for_rows(
    ("key", "texts", "other"),
    [
        ("glucose", ["Creatinine in urine"], "Creatinine in urine"),
        ("glucose", ["Glucose", "Sodium"], "Sodium"),
        ("glucose", ["Result of today", "Body weight", "Glucose, serum"], None),
        ("creatinine", ["Creatinine, serum"], None),
        ("body_weight", ["Sodium"], None),  # no test of blood
    ],
)
def test_a_text_beside_a_code_may_name_another_test_of_blood(key: str, texts: list[str], other: str | None) -> None:
    assert another_test_of(key, texts) == other
