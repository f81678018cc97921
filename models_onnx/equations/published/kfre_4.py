"""Kidney failure risk equation, 4 variables: dialysis or transplant within 2 and 5 years.

Contributions are on the complementary log-log scale against the center of the equation: age 70.36, 56 in 100 men,
eGFR 36.1, UACR 170 mg/g, in North America.
"""

from math import exp, log

from models_onnx.equations.arithmetic import CoefficientSet, Contribution, Factor, Linear, Term, Working
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
)

REGIONS = ("north_america", "non_north_america")

_OURS = read_coefficients("kfre_4")
_PARTS = _OURS["terms"]
_FACTORS = {
    "age/10": Factor("age", centre=10 * _PARTS["age/10"]["centre"], scale=10),
    "male": Factor("male", centre=_PARTS["male"]["centre"]),
    "egfr/5": Factor("egfr", centre=5 * _PARTS["egfr/5"]["centre"], scale=5),
    "ln_uacr": Factor("uacr", ln=True, centre=_PARTS["ln_uacr"]["centre"]),
}
_TERMS = tuple(Term(_PARTS[name]["coefficient"], (factor,)) for name, factor in _FACTORS.items())
REFERENCE: Values = {
    "calibration": "north_america",
    "age": 10 * _PARTS["age/10"]["centre"],
    "male": _PARTS["male"]["centre"],
    "egfr": 5 * _PARTS["egfr/5"]["centre"],
    "uacr": exp(_PARTS["ln_uacr"]["centre"]),
}
LINEAR = {
    horizon: Linear(
        "cloglog",
        ("calibration",),
        tuple(
            CoefficientSet({"calibration": region}, log(-log(_OURS["survival"][region][horizon])), _TERMS)
            for region in REGIONS
        ),
        REFERENCE,
    )
    for horizon in ("2y", "5y")
}


def work(values: Values, output: str) -> Working:
    """Return the risk over one horizon."""
    worked = LINEAR[output].work({**values, "male": 1.0 if values["sex"] == "male" else 0.0})
    parts = tuple(
        Contribution("sex", values["sex"], contribution.contribution) if contribution.input == "male" else contribution
        for contribution in worked.contributions
    )
    return Working(worked.value, worked.link, worked.base, parts)


EQUATION = Equation(
    id="kfre_4",
    title="Kidney failure risk equation (KFRE), 4 variables",
    version="2016 recalibration",
    citation=(
        "Tangri N, Grams ME, Levey AS, et al. Multinational assessment of accuracy of equations for predicting risk of "
        "kidney failure. JAMA 2016;315:164-174"
    ),
    doi="10.1001/jama.2015.18202",
    published="2016-01-12",
    inputs=(
        age(18, 100),
        sex(),
        measured(
            "egfr",
            "egfr",
            10,
            60,
            feature="egfr_ckd_epi_2021",
            words="eGFR",
            note="derived with CKD-EPI 2009; CKD-EPI 2021 is accepted in practice and shifts risk slightly down",
        ),
        measured("uacr", "uacr", 0.1, 25000, feature="uacr_mg_g", note="mg/mmol x 8.84 = mg/g"),
        EquationInput(
            name="calibration",
            words="Region of the calibration",
            kind="choice",
            choices=REGIONS,
            note="of the site, not of the patient: that of its country (CDS_COUNTRY)",
        ),
    ),
    outputs=(
        EquationOutput(
            id="2y",
            words="need dialysis or a kidney transplant within 2 years",
            kind="probability",
            horizon_years=2,
            decimals=3,
        ),
        EquationOutput(
            id="5y",
            words="need dialysis or a kidney transplant within 5 years",
            kind="probability",
            horizon_years=5,
            decimals=3,
        ),
    ),
    population="adults with chronic kidney disease G3a to G5 (eGFR 10 to under 60), not on dialysis, not transplanted",
    exclusions=(
        Exclusion("dialysis or kidney transplant", ("on_dialysis", "has_kidney_transplant")),
        Exclusion("acute kidney injury at the time of the sample", ("has_acute_kidney_injury",)),
    ),
    cautions=(
        "The unit of the albumin-creatinine ratio is the usual fault: mg/mmol taken for mg/g lowers the risk.",
        "A urine protein-creatinine ratio needs conversion; it is not taken in its place.",
        "Death before kidney failure is not modelled: it overstates in the very old.",
        "KDIGO gives 3 to 5 % for a referral: a site must choose one number; it is not a band with two edges.",
    ),
    reviewed="2026-11-20",
    reference="the equation's own center: age 70, 56 in 100 men, eGFR 36, UACR 170 mg/g; North America",
    work=work,
    narrower=(NarrowerPopulation(("2y", "5y"), "egfr", 60, "for an eGFR under 60", under=True),),
    bands=(
        BandTable(
            output="5y",
            bands=(Band("below", "below the referral threshold"), Band("refer", "3 % or more", 0.03)),
            source="KDIGO 2024, practice point 2.2.1: 3 to 5 % (NICE NG203, 2021: over 5 %)",
            verified="search: text of the practice point read",
            note="nephrology referral, beside the eGFR and albumin criteria",
        ),
        BandTable(
            output="2y",
            bands=(
                Band("below", "10 % or less"),
                Band("team", "over 10 %", 0.10, strictly=True),
                Band("prepare", "over 40 %", 0.40, strictly=True),
            ),
            source="KDIGO 2024, practice points 2.2.2 (multidisciplinary care), 2.2.3 (modality, access, transplant)",
            verified="knowledge: the text of these two was not read",
        ),
    ),
)
