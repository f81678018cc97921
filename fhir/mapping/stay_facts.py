"""Features of the stay itself: what was diagnosed in it, where it ends, how ill the patient came.

What was looked for and not found counts as no only where the stay has diagnoses at all; a stay without any is a stay
whose diagnoses nobody has written yet, and its conditions are missing.
"""

from fhir.mapping.chart_facts import not_found
from fhir.mapping.condition_groups import group_hits
from fhir.mapping.feature import Feature, FeatureValue, Missing
from fhir.mapping.hospital_use import Stay, current_stay
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition
from fhir.record.time import parse_time
from fhir.terminology.condition_groups import charlson_items, groups_of
from fhir.terminology.conditions import SYSTEMS
from fhir.terminology.discharge import Destination, destination_of

# Glasgow coma scale: 15 is awake and 3 the deepest coma, as 0 and 100 are of SUPPORT's coma score. How the values
# between them correspond is not published in what is at hand, so they are missing rather than guessed.
_AWAKE, _DEEPEST = 15, 3
# What SUPPORT enrolled people for, read from the diagnoses of the stay: the first that fits. Condition groups, or the
# beginning of ICD codes (ICD-10-CM and ICD-9-CM tabular lists) where no group is so narrow.
_LUNG, _COLON = ("C34",), ("C18", "C19", "C20")
_LUNG_9, _COLON_9 = ("162",), ("153", "154")
_FAILURE, _FAILURE_9 = ("J960", "J962"), ("51881", "51884")
_COMA, _COMA_9 = ("R402",), ("78001",)


def stay_condition(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether a diagnosis of the current stay is in one of the feature's groups."""
    diagnosed = _diagnoses(record, feature)
    if isinstance(diagnosed, Missing):
        return diagnosed
    for condition in diagnosed:
        for coding in condition.code.coding if condition.code is not None else ():
            if any(group in feature.groups for group in groups_of(coding.system, coding.code)):
                return _of(record, feature, 1.0, condition, coding.code or "")
    return not_found(record, feature)


def discharge_destination(record: PatientRecord) -> tuple[Destination, Stay] | None:
    """Where the current stay ends, as far as that is charted; None where it is not."""
    stay = current_stay(record)
    hospitalization = stay.encounter.hospitalization if stay is not None else None
    concept = hospitalization.dischargeDisposition if hospitalization is not None else None
    for coding in concept.coding if concept is not None else ():
        found = destination_of(coding.code)
        if found is not None and stay is not None:
            return found, stay
    return None


def destination(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """The destination as a code of the feature; missing where it is not known yet, or is none of its choices."""
    known = discharge_destination(record)
    if known is None or known[0].words not in feature.choices:
        return Missing(feature, "absent", f"{feature.words} is not known yet.")
    found, stay = known
    place = float(feature.choices.index(found.words))
    return FeatureValue(feature, place, _when(record, stay), stay.source, found.key, place, found.words)


def mean_pressure(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Diastolic pressure and a third of the pulse pressure, of the newest readings within the window."""
    systolic, diastolic = record.newest("sbp", feature.window_days), record.newest("dbp", feature.window_days)
    if systolic is None or diastolic is None:
        return Missing(feature, "absent", f"{feature.words} is not recorded.")
    value = diastolic.value + (systolic.value - diastolic.value) / 3.0
    return FeatureValue(
        feature, value, diastolic.time.text, diastolic.source, diastolic.code, round(value, 1), feature.unit
    )


def coma(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """SUPPORT's coma score where the newest Glasgow coma scale within the window decides it: awake, or deepest coma."""
    scale = record.newest("gcs_total", feature.window_days)
    if scale is None:
        return Missing(feature, "absent", f"{feature.words}: no Glasgow coma scale is recorded.")
    if scale.value not in (_AWAKE, _DEEPEST):
        return Missing(
            feature, "refused", f"{feature.words}: a Glasgow coma scale of {scale.value:g} is between levels."
        )
    level = 0 if scale.value == _AWAKE else len(feature.choices) - 1
    words = feature.choices[level]
    return FeatureValue(feature, float(level), scale.time.text, scale.source, scale.code, scale.charted_value, words)


def comorbidity_count(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """How many items of the Charlson index (tables/charlson_lace.csv) are on record."""
    if not record.knows("Condition"):
        return Missing(feature, "unknown", f"{feature.words}: the diagnoses are not at hand.")
    hits = group_hits(record)
    count = float(sum(any(group in hits for group in item.groups) for item in charlson_items()))
    when, where = record.as_of.date().isoformat(), f"Patient/{record.patient_id}"
    return FeatureValue(feature, count, when, where, "", count, "conditions")


def admission_disease(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Which of the diseases that SUPPORT enrolled for the stay is about; missing where it is about none."""
    diagnosed = _diagnoses(record, feature)
    if isinstance(diagnosed, Missing):
        return diagnosed
    groups = {
        group
        for condition in diagnosed
        for coding in (condition.code.coding if condition.code is not None else ())
        for group in (*groups_of(coding.system, coding.code), *_narrow(coding.system, coding.code))
    }
    name = _enrolled_for(groups)
    if name is None:
        return Missing(feature, "absent", f"{feature.words}: no diagnosis of the stay is one that was studied.")
    place = float(feature.choices.index(name))
    return FeatureValue(feature, place, _when(record, current_stay(record)), diagnosed_in(record), "", place, name)


def diagnosed_in(record: PatientRecord) -> str:
    """The current stay, as a source."""
    stay = current_stay(record)
    return stay.source if stay is not None else f"Patient/{record.patient_id}"


def _enrolled_for(groups: set[str]) -> str | None:
    critical = "sepsis" in groups or "failure" in groups
    order = (
        ("Multi-organ failure with malignancy", critical and "cancer_any" in groups),
        ("Respiratory or multi-organ failure with sepsis", critical),
        ("Coma", "coma" in groups),
        ("Lung cancer", "lung" in groups),
        ("Colon cancer", "colon" in groups),
        ("Cirrhosis", bool(groups & {"cirrhosis", "liver_severe"})),
        ("Heart failure", "heart_failure" in groups),
        ("COPD", "copd" in groups),
    )
    return next((name for name, fits in order if fits), None)


def _narrow(system: str | None, code: str | None) -> tuple[str, ...]:
    short, bare = SYSTEMS.get(system or ""), (code or "").replace(".", "").upper()
    tables = {
        "icd10": {"lung": _LUNG, "colon": _COLON, "failure": _FAILURE, "coma": _COMA},
        "icd9": {"lung": _LUNG_9, "colon": _COLON_9, "failure": _FAILURE_9, "coma": _COMA_9},
    }
    return tuple(name for name, starts in tables.get(short or "", {}).items() if bare.startswith(starts))


def _diagnoses(record: PatientRecord, feature: Feature) -> list[Condition] | Missing:
    """The conditions that name the current stay as their encounter, and are not of a later time than `as_of`."""
    if not record.knows("Condition"):
        return Missing(feature, "unknown", f"{feature.words}: the diagnoses are not at hand.")
    stay = current_stay(record)
    if stay is None:
        return Missing(feature, "absent", f"{feature.words}: no stay in hospital is going on.")
    own = [
        condition
        for condition in record.conditions
        if condition.encounter is not None
        and condition.encounter.reference == stay.source
        and _is_known(record, condition)
    ]
    if not own:
        return Missing(feature, "absent", f"{feature.words}: no diagnosis of this stay is charted.")
    return own


def _is_known(record: PatientRecord, condition: Condition) -> bool:
    text = condition.onsetDateTime or condition.recordedDate
    time = parse_time(text) if text else None
    return time is None or not time.is_after(record.as_of_epoch)


def _of(record: PatientRecord, feature: Feature, value: float, condition: Condition, code: str) -> FeatureValue:
    when = condition.onsetDateTime or condition.recordedDate or _when(record, current_stay(record))
    source = f"Condition/{condition.id}" if condition.id else diagnosed_in(record)
    words = condition.code.words if condition.code is not None else ""
    return FeatureValue(feature, value, when, source, code, value, words)


def _when(record: PatientRecord, stay: Stay | None) -> str:
    return stay.start.text if stay is not None else record.as_of.date().isoformat()
