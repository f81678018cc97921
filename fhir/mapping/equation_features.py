"""The features that published equations ask for beside those of the models, one entry each.

Look-back as shared/data/codes/loinc_analytes.csv gives it for the analyte, in days.
"""

from fhir.mapping.feature import Feature, Kind
from fhir.terminology.analytes import ANALYTES

_YEAR, _TWO_YEARS, _THREE_YEARS, _FIVE_YEARS, _QUARTER = 365, 730, 1095, 1825, 90

_PREVENT = "an input of PREVENT (Khan 2024)"
_AF = "an item of CHA2DS2-VASc (Lip 2010) or HAS-BLED (Pisters 2010)"
_LACE = "an item of LACE (van Walraven 2010) or HOSPITAL (Donze 2016)"
_EXCLUSION = "keeps an equation from being used"
# PREVENT: on blood-pressure medicine. The therapeutic classes of tables/medication_classes.csv that lower pressure.
_PRESSURE_CLASSES = (
    "ace_inhibitor",
    "arb",
    "arni",
    "renin_inhibitor",
    "beta_blocker",
    "ccb_dhp",
    "ccb_nondhp",
    "thiazide",
    "mra",
    "k_sparing",
    "alpha_blocker",
    "central_alpha2",
    "vasodilator",
)


def _measured(
    name: str, analyte: str, window_days: int, evidence: str, words: str | None = None, kind: Kind = "measurement"
) -> Feature:
    meaning = ANALYTES[analyte]
    return Feature(
        name=name,
        words=words or meaning.words,
        kind=kind,
        unit=meaning.unit,
        plausible_low=meaning.plausible_low,
        plausible_high=meaning.plausible_high,
        evidence=evidence,
        analyte=analyte,
        window_days=window_days,
    )


def _yes_no(
    name: str,
    words: str,
    evidence: str,
    *,
    kind: Kind = "condition",
    groups: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
    analyte: str | None = None,
    window_days: int | None = None,
    limit: float | None = None,
    strictly: bool = False,
) -> Feature:
    return Feature(
        name=name,
        words=words,
        kind=kind,
        unit="1",
        plausible_low=0,
        plausible_high=1,
        evidence=evidence,
        analyte=analyte,
        window_days=window_days,
        groups=groups,
        classes=classes,
        limit=limit,
        strictly=strictly,
    )


def _taken(name: str, words: str, evidence: str, *classes: str) -> Feature:
    return _yes_no(name, words, evidence, kind="medication", classes=classes)


def _counted(name: str, words: str, unit: str, highest: float, kind: Kind = "stay") -> Feature:
    return Feature(
        name=name, words=words, kind=kind, unit=unit, plausible_low=0, plausible_high=highest, evidence=_LACE
    )


_MEASURED = (
    _measured("cholesterol_total_mg_dl", "cholesterol_total", _FIVE_YEARS, _PREVENT),
    _measured("hdl_cholesterol_mg_dl", "hdl_cholesterol", _FIVE_YEARS, _PREVENT),
    _measured("egfr_ckd_epi_2021", "egfr", _YEAR, f"{_PREVENT} and of KFRE (Tangri 2016)", "eGFR", "egfr"),
    _measured("uacr_mg_g", "uacr", _THREE_YEARS, "an input of KFRE (Tangri 2016)"),
    _measured("ast_u_l", "ast", _YEAR, "an input of FIB-4 (Sterling 2006)"),
    _measured("alt_u_l", "alt", _YEAR, "an input of FIB-4 (Sterling 2006)"),
    _measured("platelets_10e3_ul", "platelets", _YEAR, "an input of FIB-4 (Sterling 2006)"),
    _measured("inr", "inr", _QUARTER, "an input of MELD 3.0 (Kim 2021)"),
    _measured("sodium_mmol_l", "sodium", _QUARTER, "an input of MELD 3.0 (Kim 2021) and HOSPITAL (Donze 2016)"),
    _measured("hemoglobin_g_dl", "hemoglobin", _YEAR, _LACE),
    _measured("weight_kg", "body_weight", _YEAR, "an input of Cockcroft-Gault (1976)"),
    _measured("phq9_total", "phq9", _YEAR, "PHQ-9 (Kroenke 2001)"),
    _measured("gad7_total", "gad7", _YEAR, "GAD-7 (Spitzer 2006)"),
)

_CONDITIONS = (
    _yes_no("has_diabetes", "Diabetes", _PREVENT, groups=("diabetes",)),
    _yes_no("has_hypertension", "Hypertension", _AF, groups=("hypertension",)),
    _yes_no("has_heart_failure", "Heart failure", _AF, groups=("heart_failure",)),
    _yes_no("has_coronary_disease", "Coronary disease", _EXCLUSION, groups=("coronary_disease",)),
    _yes_no("has_had_stroke_tia", "Stroke or TIA before", _AF, groups=("stroke_tia",)),
    _yes_no("has_peripheral_artery_disease", "Artery disease", _EXCLUSION, groups=("peripheral_artery",)),
    _yes_no("has_vascular_disease", "Vascular disease", _AF, groups=("myocardial_infarction", "peripheral_artery")),
    _yes_no(
        "has_atrial_fibrillation", "Atrial fibrillation", "whom CHA2DS2-VASc is for", groups=("atrial_fibrillation",)
    ),
    _yes_no("has_mechanical_valve", "Mechanical heart valve", _EXCLUSION, groups=("mechanical_valve",)),
    _yes_no("has_mitral_stenosis", "Mitral stenosis", _EXCLUSION, groups=("mitral_stenosis",)),
    _yes_no("on_dialysis", "Dialysis", _EXCLUSION, groups=("dialysis",)),
    _yes_no("has_kidney_transplant", "Kidney transplant", _EXCLUSION, groups=("kidney_transplant",)),
    _yes_no(
        "has_acute_kidney_injury",
        "Acute kidney injury",
        _EXCLUSION,
        groups=("acute_kidney_injury",),
        window_days=_QUARTER,
    ),
    _yes_no("is_pregnant", "Pregnancy", _EXCLUSION, kind="pregnancy"),
    _yes_no("has_cirrhosis", "Cirrhosis", "whom MELD 3.0 is for", groups=("cirrhosis", "liver_severe")),
    _yes_no("has_abnormal_liver", "Cirrhosis or severe liver disease", _AF, groups=("cirrhosis", "liver_severe")),
    _yes_no("has_bled_or_may", "Major bleeding or anaemia", _AF, groups=("bleeding_major", "anemia")),
    _yes_no("has_alcohol_use", "Alcohol use disorder", _AF, groups=("alcohol_use",)),
    _yes_no(
        "has_abnormal_kidneys",
        "Dialysis, kidney transplant or creatinine from 2.26 mg/dL",
        _AF,
        groups=("dialysis", "kidney_transplant"),
        analyte="creatinine",
        window_days=_YEAR,
        limit=2.26,
    ),
    _yes_no(
        "has_uncontrolled_pressure",
        "Systolic pressure over 160",
        _AF,
        kind="over",
        analyte="sbp",
        window_days=_YEAR,
        limit=160,
        strictly=True,
    ),
    _yes_no(
        "smokes",
        "Smokes",
        f"{_PREVENT}; LOINC 72166-2, else the problem list",
        kind="smoker",
        groups=("tobacco_use",),
        analyte="smoking_status",
        window_days=_TWO_YEARS,
    ),
)

_TAKEN = (
    _taken("takes_statin", "Statin", _PREVENT, "statin"),
    _taken("takes_bp_medication", "Blood pressure medicine", _PREVENT, *_PRESSURE_CLASSES),
    _taken("takes_anticoagulant", "Anticoagulant", "what is discussed in atrial fibrillation", "anticoagulant"),
    _taken("takes_warfarin", "Warfarin", _EXCLUSION, "vka"),
    _taken("takes_antiplatelet_or_nsaid", "Antiplatelet or NSAID", _AF, "antiplatelet", "asa_or_antiplatelet", "nsaid"),
)

_STAYS = (
    _counted("length_of_stay_days", "Days in hospital", "d", 3650),
    _counted("admitted_as_emergency", "Admitted as an emergency", "1", 1),
    _counted("ed_visits_6m", "Emergency visits in the 6 months before", "1", 200),
    _counted("admissions_12m", "Hospital stays in the 12 months before", "1", 100),
    _counted("procedure_in_stay", "Procedure in the stay", "1", 1),
    _counted("charlson_lace", "Comorbidity points (Charlson as LACE weighs it)", "1", 40, "comorbidity"),
)

EQUATION_FEATURES = (*_MEASURED, *_CONDITIONS, *_TAKEN, *_STAYS)
