"""Death from any cause within five years, for planning conversations with adults of 40 and over; and its small panel.

Source of the data and its traps: NHANES III and 1999-2018 with linked deaths, README-nhanes.md of the data folder.
"""

from dataclasses import replace
from typing import Any

import msgspec

from models_onnx.spec import (
    DAYS_PER_YEAR,
    AdditiveLogistic,
    CohortExclusion,
    FollowUp,
    InputSpec,
    ModelPopulation,
    ModelSpec,
    OutcomeSpec,
    Period,
    RequiredInputGroup,
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
# README-nhanes, "Small panel": what Synthea's charts have too.
SMALL_LABS = ("bun_mg_dl", "creatinine_mg_dl", "glucose_mg_dl", "wbc_10e3_ul", "rbc_10e6_ul", "mcv_fl")
SMALL_LABS_NEEDED = 4
BODY = ("sbp_mmhg", "dbp_mmhg", "bmi_kg_m2")
AGE_LOW = 40
AGE_TOP = 80.0  # the study's top code since 2007 (README-nhanes, table of columns); older codes are clipped to it


def _age_band(table: Any) -> Any:
    bands = ((50, "40-49"), (60, "50-59"), (70, "60-69"), (80, "70-79"))
    return table["age_years"].map(lambda age: next((words for limit, words in bands if age < limit), "80 and over"))


def _survey_cycle(table: Any) -> Any:
    return table["cycle_start"].map(lambda year: f"{year}-{1994 if year == 1988 else year + 1}")


def _few(labs: tuple[str, ...], needed: int) -> CohortExclusion:
    return CohortExclusion(
        "few-labs",
        f"fewer than {needed} of the {len(labs)} laboratory values",
        lambda table: table[list(labs)].notna().sum(axis=1) < needed,
    )


# Who is left out of both models; those with few labs follow, for each its own.
_EXCLUSIONS = (
    CohortExclusion("under-40", "younger than 40", lambda table: table["age_years"] < AGE_LOW, "outside-population"),
    CohortExclusion("pregnant", "pregnant", lambda table: table["pregnant"] == 1, "outside-population"),
    CohortExclusion(
        "not-linked",
        "not linked to the death records",
        lambda table: (table["linked"] != 1) | table["followup_months"].isna(),
    ),
)


def _cautions(newest: str, hispanic: str, later: str = "") -> tuple[str, ...]:
    """Return both models' cautions with the figures of each: observed/expected of the newest years and of a group."""
    return (
        "Not for emergencies. Review the listed factors and the chart; the score may be wrong when inputs are missing "
        "or outside the ranges shown.",
        "It knows no smoking, diagnoses or medicines: cancer or heart failure count only through the lab values.",
        "Built on volunteers of a US population survey of 1988-2018, living at home; rates of the sample, unweighted.",
        "Very abnormal results were removed from the study (beyond 5 standard deviations); beyond its range no score.",
        "Age over 80 is scored as 80, because the study stops there.",
        "Death rates fell with time, and the model overstates for the newest years: of those examined in 2011-2014, "
        f"the latest who were followed for five years, fewer died than estimated (observed/expected {newest}).",
        f"Those examined in 2015-2018 were not followed for five years and count in no figure.{later} Recalibrate "
        "locally before use.",
        "Laboratory values of an acute illness are not what it was built on: people were examined in ordinary health.",
        "At the very top, above about 65 in 100, it overstates: fewer died than predicted (see the observed rates).",
        f"It overstates for Hispanic people (observed/expected {hispanic}); race and ethnicity are not inputs.",
        "A missing input counts as the average of the reference cohort, which on the whole makes the estimate too low.",
        "Associations, not effects: changing a value does not change the risk by the amount shown.",
    )


SPEC = ModelSpec(
    id="mortality_5y",
    version="2.1.1",
    title="Death within 5 years, adults of 40 and over",
    outcome=OutcomeSpec(
        column="death_5y",
        words="died within 5 years, of any cause",
        horizon_days=5 * DAYS_PER_YEAR,
        follow_up=FollowUp(
            lambda table: table["followup_months"],
            lambda table: table["death"],
            per_year=12,
            strata=lambda table: table["cycle_start"],
        ),
    ),
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
    cautions=_cautions(
        newest="0.93",
        hispanic="0.78 in 2003-2014",
        later=" Their red cell width (from 2013), ALP and albumin were measured by other analysers and raise the "
        "estimate: on average 12 in 100 in 2017-2018 against 9 before, although as many died within three years.",
    ),
    population=ModelPopulation(
        words="adults of 40 and over, not pregnant, living at home, with at least 8 of the 11 laboratory values",
        age_low=AGE_LOW,
        exclude_conditions=("pregnancy",),
    ),
    table="nhanes_mortality.csv.gz",
    period="1988-2018",
    cohort_words="participants of NHANES III and NHANES 1999-2018 with linked deaths",
    exclusions=(*_EXCLUSIONS, _few(LABS, LABS_NEEDED)),
    inputs=(
        InputSpec("age_years", clip_high=AGE_TOP),
        InputSpec("sex_male"),
        *(InputSpec(name) for name in LABS),
        *(InputSpec(name) for name in BODY),
    ),
    derived={"sex_male": lambda table: table["sex"].map({"male": 1.0, "female": 0.0})},
    always_required=("age_years", "sex_male"),
    required_groups=(RequiredInputGroup("labs", "laboratory values", LABS, LABS_NEEDED),),
    estimator=AdditiveLogistic(knots=5, C=0.3),
    # README-nhanes, known fault 5: rates fall with time. Of the cycles that were followed for five years, the latest
    # twelve years: enough deaths for bins of its own, and O/E over all cycles within 0.93 to 1.07. Recalibration on the
    # newest two cycles does not hold out of time; docs/models/README.md has what was tried, the page O/E by cycle.
    recalibration=Period(column="cycle_start", since=2003, until=2013, words="2003-2014"),
    newest=Period(column="cycle_start", since=2011, until=2013, words="2011-2014"),
    reference_words="US adults of 40 and over examined in 2003-2014",
    standardise_by="age band",
    alerts_per_event=5.0,
    age_bands=(40, 50, 60, 70, 80),
    capacity=0.10,
    capacities=(0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30),
    simple_inputs=("age_years", "sex_male"),
    # Need of planning beyond the label: who survived the five years and died in the five that followed, where these
    # could be followed (cycles to 2007-2008). Deaths within five years would compare the label with itself.
    needs={"death_6_to_10y": lambda table: table["death_10y"].where(table["death_5y"] == 0)},
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
        "without blood pressure and BMI": BODY,
        "without the blood count (5 labs missing: the small panel takes over)": LABS[6:],
        "without the metabolic panel (6 labs missing: not scored)": LABS[:6],
        "without any of the 11 labs (not scored)": LABS,
    },
    never_inputs=(
        "death",
        "death_5y",
        "death_10y",
        "followup_months",
        "cause_leading_code",
        "race_ethnicity",
        "education",
        "income_poverty_ratio",
        "self_rated_health",
    ),
    twin="mortality_5y_small",
    twin_words="takes over where fewer than 8 of the 11 laboratory values are usable and 4 of its own 6 are",
)

TWIN = replace(
    SPEC,
    id="mortality_5y_small",
    title="Death within 5 years, adults of 40 and over (small panel)",
    cautions=(
        "The small panel: it takes over where too many of the 11 laboratory values are missing, and knows neither "
        "albumin, alkaline phosphatase, bilirubin, red cell width nor lymphocytes.",
        *_cautions(newest="0.94", hispanic="0.82 in 1999-2014"),
    ),
    population=msgspec.structs.replace(
        SPEC.population,
        words="adults of 40 and over, not pregnant, living at home, with at least 4 of the 6 laboratory values",
    ),
    exclusions=(*_EXCLUSIONS, _few(SMALL_LABS, SMALL_LABS_NEEDED)),
    inputs=tuple(item for item in SPEC.inputs if item.name not in set(LABS) - set(SMALL_LABS)),
    required_groups=(RequiredInputGroup("labs", "laboratory values", SMALL_LABS, SMALL_LABS_NEEDED),),
    # Without red cell width and albumin less of the fall of the rates is in the inputs: recalibrated on 2003-2014
    # alone, O/E over all cycles is 1.09.
    recalibration=Period(column="cycle_start", since=1999, until=2013, words="1999-2014"),
    reference_words="US adults of 40 and over examined in 1999-2014",
    panels={
        "without MCV and RBC": ("mcv_fl", "rbc_10e6_ul"),
        "without the blood count (3 labs missing: not scored)": ("wbc_10e3_ul", "rbc_10e6_ul", "mcv_fl"),
        "without blood pressure and BMI": BODY,
    },
    twin=None,
    twin_words="",
)
