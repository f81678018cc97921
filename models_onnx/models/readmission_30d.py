"""Readmission within 30 days of a stay with diabetes, for follow-up after discharge; and its twin without disposition.

Source of the data and its traps: Diabetes 130-US hospitals 1999-2008, README-diabetes130.md of the data folder.
"""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fhir.terminology.conditions import condition_groups_of
from models_onnx.spec import (
    AdditiveLogistic,
    CohortExclusion,
    InputSpec,
    ModelPopulation,
    ModelSpec,
    OutcomeSpec,
)

ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"
DIED = ("11", "19", "20", "21")
HOSPICE = ("13", "14")
# The study's codes of a disposition by the places of the feature `discharge_destination`; 18, 25 and 26 are unknown,
# 12, 16, 17, 27 and 29 are too few to be learned from, 10 is of newborns: these are missing.
DESTINATIONS = (("1",), ("6",), ("8",), ("3", "15", "24"), ("4",), ("22",), ("2", "9"), ("5", "30"), ("23",), ("28",))
AGAINST_ADVICE = "7"
# Groups whose presence among three diagnoses says something of the illness. Left out although the study has them:
# hypertension, lipids, anaemia and coronary disease stand there mostly when nothing worse does; in a whole chart they
# nearly always stand, so at the bedside they would mean something else.
DIAGNOSES = {
    "stay_heart_failure": ("heart_failure",),
    "stay_copd": ("copd", "bronchitis_unspecified"),
    "stay_kidney_disease": ("ckd_any",),
    "stay_kidney_injury": ("aki",),
    "stay_diabetes_complicated": ("diabetes_complicated",),
    "stay_cancer": ("cancer_any",),
    "stay_cancer_metastatic": ("cancer_metastatic",),
    "stay_stroke_tia": ("stroke_tia",),
    "stay_artery_disease": ("peripheral_artery",),
    "stay_thromboembolism": ("venous_thromboembolism",),
    "stay_liver_disease": ("liver_mild", "liver_severe"),
}


def mid_age(table: Any) -> Any:
    """Return the middle of the ten-year band: a straight line between middles has no step at a band's edge."""
    bands = table["age"]
    return bands.map({band: _middle(band) for band in bands.unique()}).astype(float)


def _middle(band: str) -> float:
    match = re.match(r"\[(\d+)-(\d+)\)$", band)
    return (int(match[1]) + int(match[2])) / 2.0 if match else math.nan


def _count(column: str) -> Callable[[Any], Any]:
    return lambda table: table[column]  # "?" is no number, and so missing


def _destination(table: Any) -> Any:
    places = {code: float(number) for number, codes in enumerate(DESTINATIONS) for code in codes}
    return table["discharge_disposition_id"].astype(object).map({**places, AGAINST_ADVICE: float(len(DESTINATIONS))})


def three_digits(code: str) -> str:
    """Return the code as ICD-9 writes it: the study lost the zeros in front of 038, which is no 38x of the ear."""
    start, dot, digits = code.partition(".")
    return f"{start.zfill(3) if start.isdigit() else start}{dot}{digits}"


def _yes(codes: Any, groups: tuple[str, ...]) -> dict[str, float]:
    return {
        code: float(any(group in groups for group in condition_groups_of(ICD9, three_digits(code)))) for code in codes
    }


def _diagnosed(groups: tuple[str, ...]) -> Callable[[Any], Any]:
    def column(table: Any) -> Any:
        columns = [table[name] for name in ("diag_1", "diag_2", "diag_3")]
        matches: Any = sum(column.map(_yes(column.unique(), groups)).astype(float) for column in columns)
        recorded: Any = sum((column != "?").astype(float) for column in columns)
        return (matches > 0).astype(float).mask(recorded == 0)

    return column


def _is_taken(column: str) -> Callable[[Any], Any]:
    return lambda table: (table[column] != "No").astype(float)


def _age_band(table: Any) -> Any:
    bands = ((40, "under 40"), (50, "40-49"), (60, "50-59"), (70, "60-69"), (80, "70-79"))
    return mid_age(table).map(lambda age: next((words for limit, words in bands if age < limit), "80 and over"))


def _race(table: Any) -> Any:
    return table["race"].astype(object).replace({"?": "not recorded", "AfricanAmerican": "African American"})


def _payer(table: Any) -> Any:
    words = {"MC": "Medicare", "MD": "Medicaid", "?": "not recorded"}
    return table["payer_code"].astype(object).map(words).fillna("other")


SPEC = ModelSpec(
    id="readmission_30d",
    version="1.0.0",
    title="Readmission within 30 days, stays with diabetes",
    outcome=OutcomeSpec(
        column="readmitted",
        words="were readmitted within 30 days",
        horizon_days=30,
        of=lambda table: (table["readmitted"] == "<30").astype(int),
    ),
    intended_use=(
        "Gives clinicians information to consider when deciding whom to follow up early after discharge: a visit, a "
        "call, a review of medicines. Used in encounter-discharge."
    ),
    users="physicians, nurse practitioners, physician assistants, nurses and care managers",
    decision_role="informs",
    not_for=(
        "delaying or refusing a discharge",
        "deciding to withhold, limit or deny treatment or coverage, or judging a hospital",
        "people without diabetes, stays over 14 days, discharge to hospice",
    ),
    cautions=(
        "Not for emergencies. Review the listed factors and the chart; the score may be wrong when inputs are missing "
        "or outside the ranges shown.",
        "It orders people only roughly (AUROC 0.66): most of those it names do not come back, and many come back whom "
        "it does not name.",
        "Built on 1999-2008: rates and lengths of stay have moved since. Recalibrate locally before any use.",
        "Any readmission to the same system counts, planned ones too; readmission elsewhere is not seen.",
        "The study has the first three diagnoses of a stay; a chart with more of them makes the estimate too high.",
        "Stays of 1 to 14 days: the study has no others, so there is no score for them.",
        "Ages are middles of ten-year bands; 97 is scored as 95.",
        "People under 40 are few, and some of them came back ten times and more.",
        "Associations, not effects: changing a value does not change the risk by the amount shown.",
    ),
    population=ModelPopulation(
        words="inpatients with diabetes who leave hospital alive after 1 to 14 days, not to hospice", age_low=0
    ),
    table="diabetes130_encounters.csv.gz",
    period="1999-2008",
    cohort_words="inpatient stays with diabetes in 130 US hospitals",
    exclusions=(
        CohortExclusion(
            "died",
            "died in the stay or after it at home in hospice care",
            lambda table: table["discharge_disposition_id"].isin(DIED),
            "deceased",
        ),
        CohortExclusion(
            "hospice",
            "went to hospice",
            lambda table: table["discharge_disposition_id"].isin(HOSPICE),
            "outside-population",
        ),
        CohortExclusion("sex-unknown", "sex not recorded", lambda table: table["gender"] == "Unknown/Invalid"),
    ),
    inputs=(
        InputSpec("age_years", clip_high=95.0, knots=(25, 35, 45, 55, 65, 75, 85)),
        InputSpec("sex_male"),
        InputSpec("length_of_stay_days", knots=(2, 3, 4, 6, 9)),
        InputSpec("admissions_12m", clip_high=8.0, knots=(1, 2, 3, 5)),
        InputSpec("ed_visits_12m", clip_high=6.0, knots=(1, 2, 4)),
        InputSpec("outpatient_visits_12m", clip_high=8.0, knots=(1, 3)),
        *(InputSpec(name) for name in DIAGNOSES),
        InputSpec("takes_insulin"),
        InputSpec("takes_metformin"),
        InputSpec("takes_diabetes_medicine"),
        InputSpec("discharge_destination", knots=tuple(range(len(DESTINATIONS)))),
    ),
    derived={
        "age_years": mid_age,
        "sex_male": lambda table: table["gender"].map({"Male": 1.0, "Female": 0.0}),
        "length_of_stay_days": _count("time_in_hospital"),
        "admissions_12m": _count("number_inpatient"),
        "ed_visits_12m": _count("number_emergency"),
        "outpatient_visits_12m": _count("number_outpatient"),
        **{name: _diagnosed(groups) for name, groups in DIAGNOSES.items()},
        "takes_insulin": _is_taken("insulin"),
        "takes_metformin": _is_taken("metformin"),
        "takes_diabetes_medicine": _is_taken("diabetesMed"),
        "discharge_destination": _destination,
    },
    always_required=("age_years", "sex_male", "length_of_stay_days", "admissions_12m", "discharge_destination"),
    estimator=AdditiveLogistic(knots=3, C=0.1),
    reference_words="stays with diabetes in US hospitals of 1999-2008",
    # Need after discharge beyond the label: any later stay the study saw, within 30 days or after (responsible-ai.md
    # 5.2, "later admissions"). The number of diagnoses hardly rises with the score, so no audit with it could fail.
    needs={"readmitted_at_all": lambda table: (table["readmitted"] != "NO").astype(float)},
    capacity=0.10,
    capacities=(0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.30),
    simple_inputs=("admissions_12m",),
    subgroups={
        "sex": lambda table: table["gender"].astype(object).map({"Male": "male", "Female": "female"}),
        "age band": _age_band,
        "race": _race,
        "payer (fairness only)": _payer,
    },
    panels={
        "without the diagnoses of the stay": tuple(DIAGNOSES),
        "without the medicines": ("takes_insulin", "takes_metformin", "takes_diabetes_medicine"),
        "without emergency and outpatient visits": ("ed_visits_12m", "outpatient_visits_12m"),
        "without the destination (its twin takes over)": ("discharge_destination",),
    },
    row_words="stays",
    row_column="encounter_id",
    patient_column="patient_nbr",
    text=True,
    never_inputs=("readmitted", "race", "payer_code", "patient_nbr", "encounter_id"),
    twin="readmission_30d_early",
    twin_words="takes over where it is not known yet where the stay ends",
)

TWIN = replace(
    SPEC,
    id="readmission_30d_early",
    title="Readmission within 30 days, stays with diabetes (destination not known yet)",
    cautions=("It does not know where the stay ends, and orders people less well for it.", *SPEC.cautions),
    inputs=SPEC.inputs[:-1],
    derived={name: column_of for name, column_of in SPEC.derived.items() if name != "discharge_destination"},
    always_required=SPEC.always_required[:-1],
    panels={words: names for words, names in SPEC.panels.items() if "discharge_destination" not in names},
    twin=None,
    twin_words="",
)
