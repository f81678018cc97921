"""Cockcroft-Gault: creatinine clearance, where a drug label uses it. The arithmetic is that of the bedside mapping."""

from collections.abc import Mapping

from fhir.mapping.equations import (
    AGE_YEARS,
    COCKCROFT_GAULT_DOI,
    COCKCROFT_GAULT_UNIT,
    CREATININE_MG_DL,
    WEIGHT_KG,
    Sex,
    cockcroft_gault,
)
from models_onnx.equations.arithmetic import Value, Working, work_product
from models_onnx.equations.declaration import Equation, EquationOutput, Exclusion, Values, age, measured, sex


def _formula(values: Mapping[str, Value]) -> float:
    sex_given: Sex = "female" if values["sex"] == "female" else "male"
    return cockcroft_gault(float(values["age"]), sex_given, float(values["weight"]), float(values["creatinine"]))


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """Creatinine clearance in mL/min, unrounded."""
    reference = {"sex": values["sex"], "age": 50.0, "weight": 70.0, "creatinine": 1.0}
    return work_product(_formula, ("age", "weight", "creatinine"), values, reference)


EQUATION = Equation(
    id="cockcroft_gault",
    title="Cockcroft-Gault creatinine clearance",
    version="1976",
    citation="Cockcroft DW, Gault MH. Prediction of creatinine clearance from serum creatinine. Nephron 1976;16:31-41",
    doi=COCKCROFT_GAULT_DOI,
    published="1976",
    inputs=(
        age(*AGE_YEARS),
        sex(),
        measured(
            "weight",
            "body_weight",
            *WEIGHT_KG,
            feature="weight_kg",
            note="actual, ideal or adjusted weight must be stated: the choice changes the answer; from a chart, actual",
        ),
        measured("creatinine", "creatinine", *CREATININE_MG_DL, feature="creatinine_mg_dl"),
    ),
    outputs=(
        EquationOutput(
            id="clearance", words="creatinine clearance", kind="quantity", unit=COCKCROFT_GAULT_UNIT, decimals=1
        ),
    ),
    population="adults, for drug dosing where the label uses it",
    exclusions=(
        Exclusion("acute kidney injury", ("has_acute_kidney_injury",)),
        Exclusion("dialysis", ("on_dialysis",)),
    ),
    cautions=(
        "Not normalized to body surface: not to be compared with eGFR.",
        "Many labels assume it, others eGFR.",
    ),
    reviewed="2026-11-20",
    reference="a woman or man of 50, 70 kg, creatinine 1.0 mg/dL",
    work=work,
    formula=cockcroft_gault,
)
