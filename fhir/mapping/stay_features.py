"""The features of a stay in hospital that models ask for, one entry each.

Evidence: the columns of two studies with what each means in FHIR, README-diabetes130.md and README-support2.md of the
data folder.
"""

from fhir.mapping.feature import Feature, Kind
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.discharge import destinations

_READMISSION = "an input of readmission in Diabetes 130-US hospitals 1999-2008 (Strack 2014)"
_SUPPORT = "an input of SUPPORT (Knaus 1995), values of the third day"
_THREE_DAYS = 3
_NOT_A_DESTINATION = ("died", "hospice")


def _stay(name: str, words: str, highest: float) -> Feature:
    return Feature(
        name=name, words=words, kind="stay", unit="1", plausible_low=0, plausible_high=highest, evidence=_READMISSION
    )


def _diagnosed(name: str, words: str, *groups: str) -> Feature:
    return Feature(
        name=name,
        words=words,
        kind="stay_condition",
        unit="1",
        plausible_low=0,
        plausible_high=1,
        evidence=f"{_READMISSION}: among the diagnoses of the stay",
        groups=groups,
    )


def _taken(name: str, words: str, *classes: str) -> Feature:
    return Feature(
        name=name,
        words=words,
        kind="medication",
        unit="1",
        plausible_low=0,
        plausible_high=1,
        evidence=_READMISSION,
        classes=classes,
    )


def _acute(name: str, analyte: str) -> Feature:
    meaning = ANALYTES[analyte]
    return Feature(
        name=name,
        words=f"{meaning.words} in this stay",
        kind="measurement",
        unit=meaning.unit,
        plausible_low=meaning.plausible_low,
        plausible_high=meaning.plausible_high,
        evidence=_SUPPORT,
        analyte=analyte,
        window_days=_THREE_DAYS,
    )


def _code(name: str, words: str, kind: Kind, evidence: str, choices: tuple[str, ...], **more: object) -> Feature:
    return Feature(
        name=name,
        words=words,
        kind=kind,
        unit="1",
        plausible_low=0,
        plausible_high=len(choices) - 1,
        evidence=evidence,
        choices=choices,
        **more,  # type: ignore[arg-type]  # analyte and window of the one that is measured
    )


def _condition(name: str, words: str, *groups: str) -> Feature:
    return Feature(
        name=name,
        words=words,
        kind="condition",
        unit="1",
        plausible_low=0,
        plausible_high=1,
        evidence=_SUPPORT,
        groups=groups,
    )


STAY_FEATURES = (
    _stay("ed_visits_12m", "Emergency visits in the 12 months before", 200),
    _stay("outpatient_visits_12m", "Outpatient visits in the 12 months before", 400),
    _code(
        "discharge_destination",
        "Where the stay ends",
        "destination",
        _READMISSION,
        tuple(each.words for each in destinations() if each.key not in _NOT_A_DESTINATION),
    ),
    _diagnosed("stay_heart_failure", "Heart failure in this stay", "heart_failure"),
    _diagnosed("stay_copd", "COPD in this stay", "copd"),
    _diagnosed("stay_kidney_disease", "Chronic kidney disease in this stay", "ckd_any"),
    _diagnosed("stay_kidney_injury", "Acute kidney injury in this stay", "acute_kidney_injury"),
    _diagnosed("stay_diabetes_complicated", "Diabetes with complications in this stay", "diabetes_complicated"),
    _diagnosed("stay_cancer", "Cancer in this stay", "cancer_any"),
    _diagnosed("stay_cancer_metastatic", "Metastatic cancer in this stay", "cancer_metastatic"),
    _diagnosed("stay_stroke_tia", "Stroke or TIA in this stay", "stroke_tia"),
    _diagnosed("stay_artery_disease", "Peripheral artery disease in this stay", "peripheral_artery"),
    _diagnosed("stay_thromboembolism", "Venous thromboembolism in this stay", "venous_thromboembolism"),
    _diagnosed("stay_liver_disease", "Liver disease in this stay", "liver_mild", "liver_severe"),
    _taken("takes_insulin", "Insulin", "insulin"),
    _taken("takes_metformin", "Metformin", "biguanide"),
    _taken(
        "takes_diabetes_medicine",
        "Any diabetes medicine",
        "insulin",
        "biguanide",
        "sulfonylurea",
        "tzd",
        "dpp4",
        "glp1",
        "sglt2",
    ),
    _acute("stay_heart_rate", "heart_rate"),
    _acute("stay_respiratory_rate", "respiratory_rate"),
    _acute("stay_temperature_cel", "temperature"),
    _acute("stay_wbc_10e3_ul", "wbc"),
    _acute("stay_albumin_g_dl", "albumin"),
    _acute("stay_bilirubin_mg_dl", "bilirubin_total"),
    _acute("stay_creatinine_mg_dl", "creatinine"),
    _acute("stay_sodium_mmol_l", "sodium"),
    _acute("stay_bun_mg_dl", "bun"),
    _acute("stay_glucose_mg_dl", "glucose"),
    _acute("stay_ph", "ph_arterial"),
    Feature(
        name="stay_mean_pressure_mmhg",
        words="Mean pressure in this stay",
        kind="mean_pressure",
        unit="mm[Hg]",
        plausible_low=20,
        plausible_high=250,
        evidence=f"{_SUPPORT}; from systolic and diastolic pressure",
        window_days=_THREE_DAYS,
    ),
    _code(
        "stay_coma",
        "Consciousness in this stay",
        "coma",
        f"{_SUPPORT}: its coma score, of which 0 is awake and 100 the deepest coma",
        ("awake", *(f"coma score {score}" for score in (9, 26, 37, 41, 44, 55, 61, 89, 94)), "deepest coma"),
        analyte="gcs_total",
        window_days=_THREE_DAYS,
    ),
    _code(
        "admission_disease",
        "Disease of the stay",
        "admission_disease",
        _SUPPORT,
        (
            "Respiratory or multi-organ failure with sepsis",
            "Heart failure",
            "COPD",
            "Cirrhosis",
            "Coma",
            "Colon cancer",
            "Lung cancer",
            "Multi-organ failure with malignancy",
        ),
    ),
    Feature(
        name="comorbidity_count",
        words="Conditions of the Charlson index",
        kind="comorbidity_count",
        unit="1",
        plausible_low=0,
        plausible_high=14,
        evidence=f"{_SUPPORT}: its number of comorbidities",
    ),
    _condition("has_dementia", "Dementia", "dementia"),
    _condition("has_cancer", "Cancer", "cancer_any"),
    _condition("has_metastatic_cancer", "Metastatic cancer", "cancer_metastatic"),
)
