"""CKD-EPI 2021: eGFR from creatinine, age and sex, without race. The arithmetic is that of the bedside mapping."""

from collections.abc import Mapping

from fhir.mapping.equations import (
    AGE_YEARS,
    CKD_EPI_DOI,
    CKD_EPI_KAPPA_MG_DL,
    CKD_EPI_UNIT,
    CREATININE_MG_DL,
    ckd_epi_2021,
)
from models_onnx.equations.arithmetic import Value, Working, work_product
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationOutput,
    Exclusion,
    Values,
    age,
    measured,
    sex,
)

_REFERENCE_AGE = 50.0


def _formula(values: Mapping[str, Value]) -> float:
    return ckd_epi_2021(
        float(values["age"]), "female" if values["sex"] == "female" else "male", float(values["creatinine"])
    )


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """eGFR in mL/min/1.73 m2, unrounded."""
    sex_given = str(values["sex"])
    reference: Values = {"sex": sex_given, "age": _REFERENCE_AGE, "creatinine": CKD_EPI_KAPPA_MG_DL[sex_given]}
    return work_product(_formula, ("age", "creatinine"), values, reference)


EQUATION = Equation(
    id="ckd_epi_2021_creatinine",
    title="CKD-EPI 2021 creatinine eGFR",
    version="2021, no race term",
    citation=(
        "Inker LA, Eneanya ND, Coresh J, et al. New creatinine- and cystatin C-based equations to estimate GFR without "
        "race. N Engl J Med 2021;385:1737-1749"
    ),
    doi=CKD_EPI_DOI,
    published="2021-11-04",
    inputs=(
        age(*AGE_YEARS),
        sex(),
        measured("creatinine", "creatinine", *CREATININE_MG_DL, feature="creatinine_mg_dl"),
    ),
    outputs=(EquationOutput(id="egfr", words="eGFR", kind="quantity", unit=CKD_EPI_UNIT),),
    population="adults in steady state, creatinine traceable to IDMS",
    exclusions=(
        Exclusion("younger than 18"),
        Exclusion("acute kidney injury", ("has_acute_kidney_injury",)),
        Exclusion("dialysis", ("on_dialysis",)),
        Exclusion("pregnancy", ("is_pregnant",)),
        Exclusion("extreme muscle mass or amputation"),
    ),
    cautions=(
        "Round only for display: staging a rounded value moves people over 60, 45 and 30.",
        "Chronic kidney disease needs three months, not one value.",
        "Not to be mixed with MDRD as laboratories report it (33914-3) or with CKD-EPI 2009 with race.",
    ),
    reviewed="2026-11-20",
    reference="a woman or man of 50 with creatinine at the equation's own turn (0.7 women, 0.9 mg/dL men)",
    work=work,
    formula=ckd_epi_2021,
    bands=(
        BandTable(
            output="egfr",
            bands=(
                Band("G5", "G5, kidney failure"),
                Band("G4", "G4, severely decreased", 15),
                Band("G3b", "G3b, moderately to severely decreased", 30),
                Band("G3a", "G3a, mildly to moderately decreased", 45),
                Band("G2", "G2, mildly decreased", 60),
                Band("G1", "G1, normal or high", 90),
            ),
            source="KDIGO GFR categories",
            verified="knowledge",
            note="on the unrounded value: 59.7 is G3a",
        ),
    ),
)
