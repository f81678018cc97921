"""Death within 180 days of seriously ill inpatients: a test-bed that shows how the gates hold a model back.

Source of the data and its traps: SUPPORT2, 1989-1994, README-support2.md of the data folder. Never for care.
"""

from collections.abc import Callable
from typing import Any

from models_onnx.spec import (
    AdditiveLogistic,
    CohortExclusion,
    Floors,
    InputSpec,
    ModelSpec,
    OutcomeSpec,
    PopulationSpec,
    RequiredGroup,
)

# Our input → the study's column; a 0 is a gap in these (no one has a heart rate of 0), in the others it is a value.
_MEASURED = {
    "stay_mean_pressure_mmhg": "meanbp",
    "stay_heart_rate": "hrt",
    "stay_respiratory_rate": "resp",
    "stay_temperature_cel": "temp",
    "stay_wbc_10e3_ul": "wblc",
    "stay_albumin_g_dl": "alb",
    "stay_bilirubin_mg_dl": "bili",
    "stay_creatinine_mg_dl": "crea",
    "stay_sodium_mmol_l": "sod",
    "stay_bun_mg_dl": "bun",
    "stay_glucose_mg_dl": "glucose",
    "stay_ph": "ph",
}
_ZERO_IS_A_GAP = frozenset({"meanbp", "hrt", "resp", "wblc"})
# The choices of the feature `admission_disease`, in their order.
_DISEASES = (
    "ARF/MOSF w/Sepsis",
    "CHF",
    "COPD",
    "Cirrhosis",
    "Coma",
    "Colon Cancer",
    "Lung Cancer",
    "MOSF w/Malig",
)
# The levels of the study's coma score: the choices of the feature `stay_coma`, in their order.
_COMA = (0, 9, 26, 37, 41, 44, 55, 61, 89, 94, 100)
_VITALS = ("stay_mean_pressure_mmhg", "stay_heart_rate", "stay_respiratory_rate", "stay_temperature_cel")


def _measured(column: str) -> Callable[[Any], Any]:
    # The copy went through float32: its 0.19998169 is 0.2 (README-support2, "equal … except for print formatting").
    if column in _ZERO_IS_A_GAP:
        return lambda table: table[column].mask(table[column] == 0).round(3)
    return lambda table: table[column].round(3)


def _age_band(table: Any) -> Any:
    bands = ((45, "18-44"), (55, "45-54"), (65, "55-64"), (75, "65-74"), (85, "75-84"))
    return table["age"].map(lambda age: next((words for limit, words in bands if age < limit), "85 and over"))


SPEC = ModelSpec(
    id="mortality_180d",
    version="1.1.1",
    title="Death within 180 days, seriously ill inpatients (test-bed)",
    outcome=OutcomeSpec(column="death_180d", words="died within 180 days, of any cause", horizon_days=180),
    intended_use=(
        "A test-bed: shows on old data how a model is described, gated and held back. Not for care; its cards are "
        "never shown."
    ),
    users="developers and governance committees; clinicians only as readers of the test-bed",
    decision_role="informs",
    not_for=(
        "the care of any patient",
        "deciding to withhold, limit or deny treatment or coverage",
        "emergencies or decisions within days",
    ),
    cautions=(
        "Not for care. Thirty years old, five hospitals, advanced disease only, without the intensive care of today.",
        "Values are of the third day of a stay; it says nothing of people who left or died before.",
        "Albumin, bilirubin, urea nitrogen and glucose are missing in 29 to 49 % of the study, not at random; a "
        "missing input counts as the average of the study.",
        "Of the Glasgow coma scale only 15 and 3 are read: how the study's own coma score came from what lies between "
        "is not published in what is at hand. Without a coma score there is no estimate: it would move by a third.",
        "The study counted comorbidities its own way; at the bedside they are the items of the Charlson index.",
        "Which disease a stay is about is guessed from its diagnoses; the study's physicians decided it.",
        "Groups other than white and black people are too small to judge.",
        "Associations, not effects: changing a value does not change the risk by the amount shown.",
    ),
    population=PopulationSpec(
        words="adults on the third day of a hospital stay for one of eight advanced diseases", age_low=18
    ),
    table="support2.csv.gz",
    period="1989-1994",
    cohort_words="seriously ill adults in five US teaching hospitals (SUPPORT)",
    exclusions=(
        CohortExclusion("under-18", "younger than 18", lambda table: table["age"] < 18, "outside-population"),
        CohortExclusion(
            "no-vitals",
            "without any vital sign of the third day",
            lambda table: table[["meanbp", "hrt", "resp", "temp"]].isna().all(axis=1),
        ),
    ),
    inputs=(
        InputSpec("age_years"),
        InputSpec("sex_male"),
        InputSpec("admission_disease", knots=tuple(range(len(_DISEASES) - 1))),
        InputSpec("stay_coma", knots=tuple(range(len(_COMA) - 1))),
        InputSpec("comorbidity_count"),
        *(InputSpec(name) for name in _MEASURED),
        InputSpec("has_cancer"),
        InputSpec("has_metastatic_cancer"),
        InputSpec("has_diabetes"),
        InputSpec("has_dementia"),
    ),
    derived={
        "age_years": lambda table: table["age"],
        "sex_male": lambda table: table["sex"].map({"male": 1.0, "female": 0.0}),
        "admission_disease": lambda table: table["dzgroup"].map({name: float(n) for n, name in enumerate(_DISEASES)}),
        "stay_coma": lambda table: table["scoma"].map({score: float(level) for level, score in enumerate(_COMA)}),
        "comorbidity_count": lambda table: table["num_co"],
        **{name: _measured(column) for name, column in _MEASURED.items()},
        "has_cancer": lambda table: table["ca"].map({"no": 0.0, "yes": 1.0, "metastatic": 1.0}),
        "has_metastatic_cancer": lambda table: table["ca"].map({"no": 0.0, "yes": 0.0, "metastatic": 1.0}),
        "has_diabetes": lambda table: table["diabetes"],
        "has_dementia": lambda table: table["dementia"],
    },
    # A missing coma score counted as average would move the estimate by up to 0.33.
    always_required=("age_years", "sex_male", "admission_disease", "stay_coma"),
    required_groups=(RequiredGroup("vitals", "vital signs", _VITALS, 2),),
    estimator=AdditiveLogistic(knots=3, C=0.3),
    reference_words="seriously ill inpatients of five US hospitals, 1989-1994",
    standardise_by="age band",
    alerts_per_event=5.0,
    age_bands=(18, 45, 55, 65, 75, 85),
    capacity=0.10,
    capacities=(0.05, 0.10, 0.20, 0.30),
    simple_inputs=("age_years", "sex_male"),
    # issue 4; a plain logistic model reaches 0.738
    floors=Floors(auroc=0.725, slope=(0.9, 1.1), observed_expected=(0.95, 1.05)),
    subgroups={
        "sex": lambda table: table["sex"],
        "age band": _age_band,
        "race": lambda table: table["race"].fillna("not recorded"),
        "disease": lambda table: table["dzgroup"],
    },
    panels={
        "without pH": ("stay_ph",),
        "without albumin and bilirubin": ("stay_albumin_g_dl", "stay_bilirubin_mg_dl"),
        "without urea nitrogen and glucose": ("stay_bun_mg_dl", "stay_glucose_mg_dl"),
        "without consciousness (not scored)": ("stay_coma",),
    },
    row_words="patients",
    patient_column="patient_id",
    never_inputs=(
        "sps",
        "aps",
        "surv2m",
        "surv6m",
        "prg2m",
        "prg6m",
        "avtisst",
        "charges",
        "totcst",
        "totmcst",
        "slos",
        "hday",
        "dnr",
        "dnrday",
        "sfdm2",
        "hospdead",
        "death",
        "d_time",
        "death_180d",
        "race",
        "income",
        "edu",
    ),
)
