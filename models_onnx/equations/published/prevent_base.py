"""PREVENT 2023, base model: 10- and 30-year risk of total cardiovascular disease, ASCVD and heart failure.

A reference woman or man is where every term is 0: 55 years, non-HDL cholesterol 3.5 and HDL 1.3 mmol/L, systolic
pressure 130 without medicine, eGFR 90, body mass index 25, no diabetes, no tobacco, no statin. Sex comes first (the two
constants); everything else is compared with the reference of the same sex.
"""

from typing import Any

from models_onnx.equations.arithmetic import CoefficientSet, Factor, Linear, terms_of
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    EquationOutput,
    Exclusion,
    NarrowerPopulation,
    Values,
    age,
    measured,
    read_coefficients,
    sex,
    yes_no,
)

_MMOL_PER_MG = 0.02586  # of cholesterol, as the equations convert it
_AGE_HIGH_30Y = 59

_AGE = Factor("age", centre=55, scale=10)
_TOTAL = Factor("total_cholesterol", centre=3.5 / _MMOL_PER_MG, scale=1 / _MMOL_PER_MG)
_HDL_IN_NON_HDL = Factor("hdl_cholesterol", scale=-1 / _MMOL_PER_MG)
_HDL = Factor("hdl_cholesterol", centre=1.3 / _MMOL_PER_MG, scale=0.3 / _MMOL_PER_MG)
_SBP_LOW = Factor("sbp", high=110, centre=110, scale=20)
_SBP_HIGH = Factor("sbp", low=110, centre=130, scale=20)
_DIABETES, _SMOKER = Factor("diabetes"), Factor("current_smoker")
_BP_MEDICATION, _STATIN = Factor("bp_medication"), Factor("statin")
_BMI_HIGH = Factor("bmi", low=30, centre=30, scale=5)
_EGFR_LOW = Factor("egfr", high=60, centre=60, scale=-15)

# Non-HDL cholesterol is total − HDL: each term with it is two products, one for each of the two that are measured.
_TERMS: dict[str, tuple[tuple[Factor, ...], ...]] = {
    "age": ((_AGE,),),
    "age2": ((Factor("age", centre=55, scale=10, squared=True),),),
    "nonhdl": ((_TOTAL,), (_HDL_IN_NON_HDL,)),
    "hdl": ((_HDL,),),
    "sbp_lo": ((_SBP_LOW,),),
    "sbp_hi": ((_SBP_HIGH,),),
    "dm": ((_DIABETES,),),
    "smoke": ((_SMOKER,),),
    "bmi_lo": ((Factor("bmi", high=30, centre=25, scale=5),),),
    "bmi_hi": ((_BMI_HIGH,),),
    "egfr_lo": ((_EGFR_LOW,),),
    "egfr_hi": ((Factor("egfr", low=60, centre=90, scale=-15),),),
    "bptx": ((_BP_MEDICATION,),),
    "statin": ((_STATIN,),),
    "bptx_x_sbp_hi": ((_BP_MEDICATION, _SBP_HIGH),),
    "statin_x_nonhdl": ((_STATIN, _TOTAL), (_STATIN, _HDL_IN_NON_HDL)),
    "age_x_nonhdl": ((_AGE, _TOTAL), (_AGE, _HDL_IN_NON_HDL)),
    "age_x_hdl": ((_AGE, _HDL),),
    "age_x_sbp_hi": ((_AGE, _SBP_HIGH),),
    "age_x_dm": ((_AGE, _DIABETES),),
    "age_x_smoke": ((_AGE, _SMOKER),),
    "age_x_bmi_hi": ((_AGE, _BMI_HIGH),),
    "age_x_egfr_lo": ((_AGE, _EGFR_LOW),),
}
REFERENCE: Values = {
    "sex": "female",
    "age": 55.0,
    "total_cholesterol": (3.5 + 1.3) / _MMOL_PER_MG,
    "hdl_cholesterol": 1.3 / _MMOL_PER_MG,
    "sbp": 130.0,
    "diabetes": False,
    "current_smoker": False,
    "bmi": 25.0,
    "egfr": 90.0,
    "bp_medication": False,
    "statin": False,
}


def _linear(by_sex: dict[str, dict[str, Any]]) -> Linear:
    chosen = tuple(
        CoefficientSet({"sex": name}, coefficients["constant"], terms_of(_TERMS, coefficients["terms"]))
        for name, coefficients in by_sex.items()
    )
    return Linear("logit", ("sex",), chosen, REFERENCE)


LINEAR = {output: _linear(by_sex) for output, by_sex in read_coefficients("prevent_base")["sets"].items()}


def _output(outcome: str, years: int, words: str) -> EquationOutput:
    sentence = f"have {words} within {years} years"
    return EquationOutput(id=f"{outcome}|{years}y", words=sentence, kind="probability", horizon_years=years, decimals=3)


_OUTCOMES = {
    "total_cvd": "a heart attack, a stroke or heart failure",
    "ascvd": "a heart attack or a stroke",
    "heart_failure": "heart failure",
}

EQUATION = Equation(
    id="prevent_base",
    title="PREVENT base equations",
    version="2023, base model",
    citation=(
        "Khan SS, Matsushita K, Sang Y, et al. Development and validation of the American Heart Association PREVENT "
        "equations. Circulation 2024;149:430-449"
    ),
    doi="10.1161/CIRCULATIONAHA.123.067626",
    published="2023-11-10",
    inputs=(
        sex(),
        age(30, 79),
        measured("total_cholesterol", "cholesterol_total", 130, 320, feature="cholesterol_total_mg_dl"),
        measured("hdl_cholesterol", "hdl_cholesterol", 20, 100, feature="hdl_cholesterol_mg_dl"),
        measured(
            "sbp",
            "sbp",
            90,
            200,
            feature="sbp_mmhg",
            note="sources differ: the AHA calculator and two implementations allow 90 to 200, one stops at 180",
        ),
        yes_no("diabetes", "Diabetes", "has_diabetes", "any diabetes"),
        yes_no("current_smoker", "Smokes", "smokes", "LOINC 72166-2, every day or some days"),
        EquationInput(
            name="bmi",
            words="Body mass index",
            unit="kg/m2",
            low=18.5,
            high=39.9,
            analyte="bmi",
            feature="bmi_kg_m2",
            for_outputs=("heart_failure|10y", "heart_failure|30y"),
            note="enters heart failure only; where it is known it must be in range, as it was for everybody studied",
        ),
        measured(
            "egfr",
            "egfr",
            15,
            140,
            feature="egfr_ckd_epi_2021",
            words="eGFR",
            note="CKD-EPI 2021 from creatinine; a reported MDRD value (33914-3) is not taken",
        ),
        yes_no("bp_medication", "Blood pressure medicine", "takes_bp_medication"),
        yes_no("statin", "Statin", "takes_statin"),
    ),
    outputs=tuple(_output(outcome, years, words) for years in (10, 30) for outcome, words in _OUTCOMES.items()),
    population="US adults of 30 to 79 (10 years) or 30 to 59 (30 years) without known cardiovascular disease",
    exclusions=(
        Exclusion(
            "known cardiovascular disease (coronary, stroke, heart failure)",
            ("has_coronary_disease", "has_had_stroke_tia", "has_heart_failure"),
        ),
        # Not named in the paper's list, but clinical ASCVD: nobody assesses the risk of having what is there.
        Exclusion("known disease of other arteries", ("has_peripheral_artery_disease",)),
    ),
    cautions=(
        "Race is not an input.",
        "The add-on models (HbA1c, urine albumin, social deprivation) are not included.",
        "Total cardiovascular disease is not the sum of ASCVD and heart failure.",
        "Treated blood pressure and a statin interact with pressure and non-HDL cholesterol.",
        "Not to be read against the 5 / 7.5 / 20 % bands of the pooled cohort equations: PREVENT gives lower numbers.",
    ),
    reviewed="2026-11-20",
    reference=(
        "a woman or man of 55 with non-HDL cholesterol 135 and HDL 50 mg/dL, systolic pressure 130, eGFR 90, body mass "
        "index 25, no diabetes, no tobacco, no blood pressure medicine, no statin; sex is counted first"
    ),
    linear=LINEAR,
    narrower=(
        NarrowerPopulation(
            tuple(output for output in LINEAR if output.endswith("30y")),
            "age",
            _AGE_HIGH_30Y,
            f"the 30-year risk is for ages 30 to {_AGE_HIGH_30Y}",
        ),
    ),
    bands=(
        BandTable(
            output="ascvd|10y",
            bands=(
                Band("low", "low"),
                Band("borderline", "borderline", 0.03),
                Band("intermediate", "intermediate", 0.05),
                Band("high", "high", 0.10),
            ),
            source="2026 ACC/AHA multisociety dyslipidemia guideline, March 2026",
            verified="search: two summaries agree; the guideline text was not read",
            note="PREVENT-ASCVD, ages 30 to 79",
        ),
        BandTable(
            output="total_cvd|10y",
            bands=(Band("below", "below the treatment threshold"), Band("treat", "at or over 7.5 %", 0.075)),
            source="2025 ACC/AHA high blood pressure guideline",
            verified="search: professional.heart.org, top things to know",
            note="medicine for stage 1 hypertension (130-139/80-89) in primary prevention",
        ),
    ),
)
