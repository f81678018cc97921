"""Death from any cause within five years, for planning conversations with adults of 40 and over.

Source of the data and its traps: NHANES III and 1999-2014 with linked deaths, README-nhanes.md of the data folder.
"""

from typing import Any

from models_onnx.spec import (
    AdditiveLogistic,
    Exclusion,
    Floors,
    Input,
    ModelSpec,
    Outcome,
    Population,
    Recalibration,
    RequiredGroup,
)

LABS = (
    "albumin_g_dl",
    "alp_u_l",
    "bun_mg_dl",
    "creatinine_mg_dl",
    "glucose_mg_dl",
    "bilirubin_total_mg_dl",
    "wbc_10e3_ul",
    "rbc_10e6_ul",
    "mcv_fl",
    "rdw_pct",
    "lymphocytes_pct",
)
LABS_NEEDED = 8
AGE_LOW = 40
AGE_TOP = 80.0  # the study's top code since 2007 (README-nhanes, table of columns); older codes are clipped to it


def _age_band(table: Any) -> Any:
    bands = ((50, "40-49"), (60, "50-59"), (70, "60-69"), (80, "70-79"))
    return table["age_years"].map(lambda age: next((words for limit, words in bands if age < limit), "80 and over"))


def _survey_cycle(table: Any) -> Any:
    return table["cycle_start"].map(lambda year: f"{year}-{1994 if year == 1988 else year + 1}")


SPEC = ModelSpec(
    id="mortality_5y",
    version="1.0.0",
    title="Death within 5 years, adults of 40 and over",
    outcome=Outcome(column="death_5y", words="died within 5 years, of any cause", horizon_years=5),
    intended_use=(
        "Gives clinicians information to consider when deciding with whom to plan ahead: screening, prevention, "
        "advance care planning. Used in patient-view, before or at an outpatient visit."
    ),
    users="physicians, nurse practitioners, physician assistants, nurses and care managers",
    decision_role="informs",
    not_for=(
        "emergencies or decisions within days",
        "deciding to withhold, limit or deny treatment or coverage",
        "people under 40 or pregnant, or in hospital with an acute illness",
    ),
    cautions=(
        "Not for emergencies. Review the listed factors and the chart; the score may be wrong when inputs are missing "
        "or outside the ranges shown.",
        "It knows no smoking, diagnoses or medicines: cancer or heart failure count only through the lab values.",
        "Built on volunteers of a US population survey of 1988-2014, living at home; rates of the sample, unweighted.",
        "Very abnormal results were removed from the study (beyond 5 standard deviations); beyond its range no score.",
        "Age over 80 is scored as 80, because the study stops there.",
        "Death rates fell with time; the model is recalibrated on 2005-2014 and has seen nobody after that.",
        "Laboratory values of an acute illness are not what it was built on: people were examined in ordinary health.",
        "At the very top, above about 65 in 100, it overstates: fewer died than predicted (see the observed rates).",
        "It overstates for Hispanic people by about a third (2005-2014); race and ethnicity are not inputs.",
        "A missing input counts as the average of the reference cohort, which on the whole makes the estimate too low.",
        "Associations, not effects: changing a value does not change the risk by the amount shown.",
    ),
    population=Population(
        words="adults of 40 and over, not pregnant, living at home, with at least 8 of the 11 laboratory values",
        age_low=AGE_LOW,
        exclude_conditions=("pregnancy",),
    ),
    table="nhanes_mortality.csv.gz",
    period="1988-2014",
    cohort_words="participants of NHANES III and NHANES 1999-2014 with linked deaths",
    exclusions=(
        Exclusion("under-40", "younger than 40", lambda table: table["age_years"] < AGE_LOW),
        Exclusion("pregnant", "pregnant", lambda table: table["pregnant"] == 1),
        Exclusion(
            "not-followed",
            "not linked, or from cycles that could not all be followed for 5 years",
            lambda table: table["death_5y"].isna(),
        ),
        Exclusion(
            "few-labs",
            "fewer than 8 of the 11 laboratory values",
            lambda table: table[list(LABS)].notna().sum(axis=1) < LABS_NEEDED,
        ),
    ),
    inputs=(
        Input("age_years", clip_high=AGE_TOP),
        Input("sex_male"),
        *(Input(name) for name in LABS),
        Input("sbp_mmhg"),
        Input("dbp_mmhg"),
        Input("bmi_kg_m2"),
    ),
    derived={"sex_male": lambda table: (table["sex"] == "male").astype(float)},
    always_required=("age_years", "sex_male"),
    required_groups=(RequiredGroup("labs", "laboratory values", LABS, LABS_NEEDED),),
    estimator=AdditiveLogistic(knots=5, C=0.3),
    # README-nhanes, known fault 5: rates fall with time. The latest ten of the 26 years: enough deaths (1,186) for bins
    # of its own, and recent enough that O/E is near 1 at its end. docs/models/mortality_5y.md has O/E cycle by cycle.
    recalibration=Recalibration(column="cycle_start", since=2005, words="2005-2014"),
    reference_words="US adults of 40 and over examined in 2005-2014",
    capacity=0.10,
    capacities=(0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30),
    simple_inputs=("age_years", "sex_male"),
    # issue 2 point 5 and issue 4: plain additive models reach 0.857-0.860
    floors=Floors(auroc=0.855, slope=(0.9, 1.1), observed_expected=(0.95, 1.05)),
    subgroups={
        "sex": lambda table: table["sex"],
        "age band": _age_band,
        "race and ethnicity (fairness only)": lambda table: table["race_ethnicity"],
        "survey cycle": _survey_cycle,
    },
    panels={
        "without RDW and lymphocytes": ("rdw_pct", "lymphocytes_pct"),
        "without albumin, ALP and bilirubin": ("albumin_g_dl", "alp_u_l", "bilirubin_total_mg_dl"),
        "without RDW, MCV and RBC": ("rdw_pct", "mcv_fl", "rbc_10e6_ul"),
        "without blood pressure and BMI": ("sbp_mmhg", "dbp_mmhg", "bmi_kg_m2"),
        "without the blood count (5 labs missing: not scored)": LABS[6:],
        "without the metabolic panel (6 labs missing: not scored)": LABS[:6],
        "without any of the 11 labs (not scored)": LABS,
    },
)
