"""LACE index, 2010: death or unplanned readmission within 30 days of discharge, 0 to 19 points."""

from math import exp, log

from models_onnx.equations.arithmetic import present, steps
from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    EquationOutput,
    Exclusion,
    ObservedRates,
    yes_no,
)

ITEMS = (
    # Whole days: a stay of one and a half days is one day.
    steps("length_of_stay_days", 0, (1, 1), (2, 2), (3, 3), (4, 4), (7, 5), (14, 7)),
    present("acute_admission", 3),
    steps("charlson_lace", 0, (1, 1), (2, 2), (3, 3), (4, 5)),
    steps("ed_visits_6m", 0, (1, 1), (2, 2), (3, 3), (4, 4)),
)


def _expected(points: int) -> float:
    """Return the expected risk in 100: on the logit scale the line through 2.0 at 0 points and 43.7 at 19."""
    first, last = log(0.020 / 0.980), log(0.437 / 0.563)
    return round(100 / (1 + exp(-(first + (last - first) * points / 19))), 1)


EXPECTED = {points: _expected(points) for points in range(20)}

EQUATION = Equation(
    id="lace",
    title="LACE index",
    version="2010",
    citation=(
        "van Walraven C, Dhalla IA, Bell C, et al. Derivation and validation of an index to predict early death or "
        "unplanned readmission after discharge from hospital to the community. CMAJ 2010;182:551-557"
    ),
    doi="10.1503/cmaj.091117",
    published="2010-04-06",
    inputs=(
        EquationInput(
            name="length_of_stay_days",
            words="Days in hospital",
            unit="d",
            low=0,
            feature="length_of_stay_days",
            note="from the period of the index stay",
        ),
        yes_no("acute_admission", "Admitted as an emergency", "admitted_as_emergency"),
        EquationInput(
            name="charlson_lace",
            words="Comorbidity points (Charlson as LACE weighs it)",
            kind="whole",
            low=0,
            feature="charlson_lace",
            note=(
                "previous infarction, cerebrovascular, peripheral vascular, diabetes 1 each; heart failure, diabetes "
                "with organ damage, chronic lung disease, mild liver or kidney disease, any tumor 2; dementia, "
                "connective tissue disease 3; AIDS, moderate or severe liver or kidney disease 4; metastatic tumor 6"
            ),
        ),
        EquationInput(
            name="ed_visits_6m",
            words="Emergency visits in the 6 months before",
            kind="whole",
            low=0,
            feature="ed_visits_6m",
            note="before the index admission; the index visit is not counted",
        ),
    ),
    outputs=(EquationOutput(id="score", words="LACE points", kind="integer", low=0, high=19),),
    population="adults discharged alive from medical or surgical wards to the community",
    exclusions=(
        Exclusion("discharge to a nursing facility or hospice"),
        Exclusion("obstetric and psychiatric stays"),
        Exclusion("died in hospital"),
    ),
    cautions=(
        "Variants are in circulation: a modified LACE gives 6 points from 14 days on; another 1 point a day up to 7.",
        "The Charlson weights are those of LACE, not of 1987.",
        "Emergency visits need the whole history: the chart of one site counts too few.",
    ),
    reviewed="2026-11-20",
    reference="a planned stay of under a day, no comorbidity, no emergency visit: 0 points",
    items=ITEMS,
    bands=(
        BandTable(
            output="score",
            bands=(Band("low", "low"), Band("moderate", "moderate", 5), Band("high", "high", 10)),
            source="bands in common use with LACE (van Walraven 2010 gives the expected risk by point)",
            verified="knowledge",
            note="expected risk 2.0 % at 0 points, 43.7 % at 19 (abstract of the paper; c-statistic 0.684)",
        ),
    ),
    rates=(
        ObservedRates(
            of=EXPECTED,
            words="of 100 expected to die or to come back unplanned within 30 days",
            source="van Walraven C, et al. CMAJ 2010;182:551-557, doi 10.1503/cmaj.091117",
            verified="search: 2.0 at 0 and 43.7 at 19 points (abstract); derived: the scores between them",
            note="the paper's expected risk is logistic in the points: the line through its two ends on that scale",
        ),
    ),
)
