"""The table of analytes is complete and says one thing only."""

from fhir.terminology.analytes import ANALYTES, analyte_of_full_name
from tests.each import for_rows


def test_no_code_belongs_to_two_analytes() -> None:
    codes = [code for analyte in ANALYTES.values() for code in analyte.loinc]
    assert len(codes) == len(set(codes))


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
