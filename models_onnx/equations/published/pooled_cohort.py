"""Pooled cohort equations 2013: 10-year ASCVD, for comparison with PREVENT only. Uses race, so it is off by default."""

from itertools import product
from math import log
from typing import Any

from models_onnx.equations.arithmetic import CoefficientSet, Factor, Linear, terms_of
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    EquationOutput,
    Exclusion,
    Values,
    age,
    measured,
    read_coefficients,
    sex,
    yes_no,
)

RACE_GROUPS = ("white_or_other", "black")

_AGE, _TOTAL = Factor("age", ln=True), Factor("total_cholesterol", ln=True)
_HDL, _SBP = Factor("hdl_cholesterol", ln=True), Factor("sbp", ln=True)
_TREATED, _UNTREATED = Factor("bp_medication"), Factor("bp_medication", centre=1, scale=-1)
_SMOKER = Factor("current_smoker")

# log² of the age is one function of one input
_TERMS: dict[str, tuple[tuple[Factor, ...], ...]] = {
    "ln_age": ((_AGE,),),
    "ln_age2": ((Factor("age", ln=True, squared=True),),),
    "ln_tc": ((_TOTAL,),),
    "ln_age_ln_tc": ((_AGE, _TOTAL),),
    "ln_hdl": ((_HDL,),),
    "ln_age_ln_hdl": ((_AGE, _HDL),),
    "ln_sbp_treated": ((_TREATED, _SBP),),
    "ln_age_ln_sbp_treated": ((_TREATED, _AGE, _SBP),),
    "ln_sbp_untreated": ((_UNTREATED, _SBP),),
    "ln_age_ln_sbp_untreated": ((_UNTREATED, _AGE, _SBP),),
    "smoker": ((_SMOKER,),),
    "ln_age_smoker": ((_AGE, _SMOKER),),
    "diabetes": ((Factor("diabetes"),),),
}
# The worked example of the paper's appendix.
REFERENCE: Values = {
    "sex": "female",
    "race_group": "white_or_other",
    "age": 55.0,
    "total_cholesterol": 213.0,
    "hdl_cholesterol": 50.0,
    "sbp": 120.0,
    "bp_medication": False,
    "current_smoker": False,
    "diabetes": False,
}


def _chosen(sex_name: str, race_group: str, ours: dict[str, Any]) -> CoefficientSet:
    constant = log(-log(ours["survival_10y"])) - ours["mean"]
    return CoefficientSet({"sex": sex_name, "race_group": race_group}, constant, terms_of(_TERMS, ours["terms"]))


_SETS = read_coefficients("pooled_cohort")["sets"]
LINEAR = Linear(
    "cloglog",
    ("sex", "race_group"),
    tuple(
        _chosen(sex_name, race_group, _SETS[sex_name][race_group])
        for sex_name, race_group in product(("female", "male"), RACE_GROUPS)
    ),
    REFERENCE,
)

EQUATION = Equation(
    id="pooled_cohort",
    title="Pooled cohort equations",
    version="2013",
    citation=(
        "Goff DC Jr, Lloyd-Jones DM, Bennett G, et al. 2013 ACC/AHA guideline on the assessment of cardiovascular "
        "risk. Circulation 2014;129(suppl 2):S49-S73"
    ),
    doi="10.1161/01.cir.0000437741.48606.98",
    published="2013-11-12",
    inputs=(
        sex(),
        age(40, 79),
        EquationInput(
            name="race_group",
            words="Race group",
            kind="choice",
            choices=RACE_GROUPS,
            note="never read from a chart: given by hand for a comparison",
        ),
        measured("total_cholesterol", "cholesterol_total", 130, 320, feature="cholesterol_total_mg_dl"),
        measured("hdl_cholesterol", "hdl_cholesterol", 20, 100, feature="hdl_cholesterol_mg_dl"),
        measured("sbp", "sbp", 90, 200, feature="sbp_mmhg"),
        yes_no("bp_medication", "Blood pressure medicine", "takes_bp_medication"),
        yes_no("current_smoker", "Smokes", "smokes"),
        yes_no("diabetes", "Diabetes", "has_diabetes"),
    ),
    outputs=(
        EquationOutput(
            id="ascvd|10y",
            words="have a heart attack or a stroke within 10 years",
            kind="probability",
            horizon_years=10,
            decimals=3,
        ),
    ),
    population="US adults of 40 to 79 without atherosclerotic cardiovascular disease",
    exclusions=(
        Exclusion(
            "known atherosclerotic cardiovascular disease",
            ("has_coronary_disease", "has_had_stroke_tia", "has_peripheral_artery_disease"),
        ),
    ),
    cautions=(
        "Uses race as an input: off by default, shipped to compare with PREVENT and to test the race-use flag.",
        "Overestimates in present-day cohorts.",
        "No longer the equation of the current US lipid guideline (2026).",
    ),
    reviewed="2026-11-20",
    reference=(
        "a white or other woman of 55, total cholesterol 213, HDL 50 mg/dL, systolic pressure 120 untreated, no "
        "tobacco, no diabetes; sex and then race group are counted first"
    ),
    linear={"ascvd|10y": LINEAR},
    bands=(
        BandTable(
            output="ascvd|10y",
            bands=(
                Band("low", "low"),
                Band("borderline", "borderline", 0.05),
                Band("intermediate", "intermediate", 0.075),
                Band("high", "high", 0.20),
            ),
            source="2018/2019 ACC/AHA guidelines; replaced by PREVENT-ASCVD in the 2026 dyslipidemia guideline",
            verified="search: PMC7734661, table 3",
        ),
    ),
    not_on_cards="It uses race as an input and is no longer the equation of the US guideline: for comparison only.",
)
