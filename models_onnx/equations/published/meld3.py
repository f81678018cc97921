"""MELD 3.0 for adults: urgency of liver disease, 6 to 40. Its limits of the inputs are part of the formula.

Contributions are points before rounding, against a man whose values all stand at the limit where they add nothing.
"""

from math import floor

from models_onnx.equations.arithmetic import Contribution, Factor, Term, Working, contributions
from models_onnx.equations.declaration import (
    Equation,
    EquationOutput,
    Exclusion,
    ObservedRates,
    Values,
    measured,
    read_coefficients,
    sex,
    yes_no,
)

_OURS = read_coefficients("meld3")
_LIMITS = _OURS["limits"]
_LOWEST, _HIGHEST = 6, 40


def _factor(name: str, *, ln: bool = False, centre: float = 0.0, scale: float = 1.0) -> Factor:
    low, high = _LIMITS[name]
    return Factor(name, low=low, high=high, ln=ln, centre=centre, scale=scale)


_LN_BILIRUBIN, _LN_INR = _factor("bilirubin", ln=True), _factor("inr", ln=True)
_LN_CREATININE = _factor("creatinine", ln=True)
# 137 − sodium and 3.5 − albumin
_SODIUM = _factor("sodium", centre=_LIMITS["sodium"][1], scale=-1)
_ALBUMIN = _factor("albumin", centre=_LIMITS["albumin"][1], scale=-1)
_FACTORS: dict[str, tuple[Factor, ...]] = {
    "female": (Factor("female"),),
    "ln_bilirubin": (_LN_BILIRUBIN,),
    "sodium": (_SODIUM,),
    "sodium_x_ln_bilirubin": (_SODIUM, _LN_BILIRUBIN),
    "ln_inr": (_LN_INR,),
    "ln_creatinine": (_LN_CREATININE,),
    "albumin": (_ALBUMIN,),
    "albumin_x_ln_creatinine": (_ALBUMIN, _LN_CREATININE),
}
_TERMS = tuple(Term(_OURS["terms"][name], factors) for name, factors in _FACTORS.items())
_REFERENCE: Values = {
    "female": False,
    "bilirubin": 1.0,
    "inr": 1.0,
    "creatinine": 1.0,
    "sodium": _LIMITS["sodium"][1],
    "albumin": _LIMITS["albumin"][1],
}


def work(values: Values, output: str) -> Working:  # noqa: ARG001 - there is one output
    """Return the points, rounded to a whole number and limited to 6 to 40."""
    counted = {**values, "female": values["sex"] == "female"}
    if values["dialysis_2x_week"]:
        counted["creatinine"] = _OURS["creatinine_on_dialysis"]
    parts = tuple(_as_given(each, values) for each in contributions(_TERMS, counted, _REFERENCE))
    points = _OURS["constant"] + sum(part.contribution for part in parts)
    return Working(min(max(floor(points + 0.5), _LOWEST), _HIGHEST), "identity", float(_OURS["constant"]), parts)


def _as_given(part: Contribution, values: Values) -> Contribution:
    """Said of the input that was given: the sex, and dialysis where it stands in for the creatinine."""
    if part.input == "female":
        return Contribution("sex", values["sex"], part.contribution)
    if part.input == "creatinine" and values["dialysis_2x_week"]:
        return Contribution("dialysis_2x_week", True, part.contribution)
    return part


EQUATION = Equation(
    id="meld3",
    title="MELD 3.0",
    version="3.0, adults (2021; US allocation since July 2023)",
    citation=(
        "Kim WR, Mannalithara A, Heimbach JK, et al. MELD 3.0: the model for end-stage liver disease updated for the "
        "modern era. Gastroenterology 2021;161:1887-1895"
    ),
    doi="10.1053/j.gastro.2021.08.050",
    published="2021-09-03",
    inputs=(
        sex(),
        measured("bilirubin", "bilirubin_total", 0.1, 60, feature="bilirubin_total_mg_dl"),
        measured("sodium", "sodium", 100, 180, feature="sodium_mmol_l"),
        measured("inr", "inr", 0.5, 15, feature="inr"),
        measured("creatinine", "creatinine", 0.1, 20, feature="creatinine_mg_dl"),
        measured("albumin", "albumin", 0.5, 6, feature="albumin_g_dl"),
        yes_no(
            "dialysis_2x_week",
            "Dialysis twice in the last 7 days",
            "on_dialysis",
            "two dialyses or 24 h of CVVHD in the last 7 days: creatinine is set to 3.0",
        ),
    ),
    outputs=(EquationOutput(id="score", words="MELD 3.0 points", kind="integer", low=_LOWEST, high=_HIGHEST),),
    population="adults (18 and over) with cirrhosis",
    exclusions=(
        Exclusion("younger than 18 (another formula from 12 to 17, PELD below)"),
        Exclusion("on warfarin: INR is then no signal of the liver", ("takes_warfarin",)),
    ),
    cautions=(
        "The constant is 6 for adults; versions for ages 12 to 17 add the sex term to everyone.",
        "Several web calculators set creatinine to 4.0 on dialysis: that is MELD-Na; MELD 3.0 uses 3.0.",
        "Allocation caps the score at 40; the paper itself sets no upper limit.",
    ),
    reviewed="2026-11-20",
    reference="a man with bilirubin, INR and creatinine 1.0, sodium 137, albumin 3.5: 6 points",
    work=work,
    only_with=("has_cirrhosis",),
    rates=(
        ObservedRates(
            of={14: 0.981, 15: 0.977, 26: 0.855, 28: 0.791},
            words="alive after 90 days",
            source="Kim 2021, supplementary table 5",
            verified="knowledge: as quoted in the test suite of another project (ameld)",
            note="only four points are known: no figure is shown for other scores",
        ),
    ),
)
