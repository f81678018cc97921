"""From a record to a feature vector: the one way, in training from FHIR, at the bedside and in batch."""

from collections.abc import Callable
from math import nan

import numpy as np

from fhir.mapping.chart_facts import comorbidity, condition, medication, past_limit, pregnancy, smoker
from fhir.mapping.feature import Feature, FeatureValue, FeatureVector, Kind, Missing
from fhir.mapping.hospital_use import hospital_use
from fhir.mapping.kidney_equations import AGE_YEARS, ckd_epi_2021
from fhir.mapping.stay_facts import (
    admission_disease,
    coma,
    comorbidity_count,
    destination,
    mean_pressure,
    stay_condition,
)
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

# codes/loinc_analytes.csv: default look-back of body height
_HEIGHT_WINDOW_DAYS = 1825
CKD_EPI_2021_LOINC = "98979-8"


def map_features(record: PatientRecord, features: tuple[Feature, ...]) -> FeatureVector:
    """The values of `features` as of `record.as_of`, each with its evidence; a missing one is NaN and named.

    Values are float64 in the feature's unit, shape (len(features),).
    """
    values: list[float] = []
    evidence: list[FeatureValue | None] = []
    missing: list[Missing] = []
    for feature in features:
        found = _value_of(record, feature)
        if isinstance(found, Missing):
            missing.append(found)
            evidence.append(None)
            values.append(nan)
        else:
            evidence.append(found)
            values.append(found.value)
    return FeatureVector(features, np.array(values, dtype=np.float64), evidence, missing)


def _value_of(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    if feature.kind == "measurement":
        return _newest_measurement(record, feature)
    return _READERS[feature.kind](record, feature)


def _bmi(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    return _body_mass_index(record, feature) or _newest_measurement(record, feature)


def _body_mass_index(record: PatientRecord, feature: Feature) -> FeatureValue | None:
    """Computed where weight and height are both there (note of codes/loinc_analytes.csv); dated by the weight."""
    weight = record.newest("body_weight", feature.window_days)
    height = record.newest("body_height", _HEIGHT_WINDOW_DAYS)
    if weight is None or height is None:
        return None
    value = round(weight.value / (height.value / 100) ** 2, 1)
    if not feature.plausible_low <= value <= feature.plausible_high:
        return None
    return FeatureValue(feature, value, weight.time.text, weight.source, weight.code, value, feature.unit)


def _egfr(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """CKD-EPI 2021 from the newest creatinine; without one, an eGFR that was reported by this equation.

    The creatinine is what was charted; a reported MDRD value is never taken in its place.
    """
    creatinine = record.newest("creatinine", feature.window_days)
    age, sex = record.age_years(), record.sex
    if creatinine is not None and age is not None and sex is not None and AGE_YEARS[0] <= age <= AGE_YEARS[1]:
        value = ckd_epi_2021(age, sex, creatinine.value)
        when, where = creatinine.time.text, creatinine.source
        return FeatureValue(
            feature, value, when, where, creatinine.code, creatinine.charted_value, creatinine.charted_unit
        )
    for reported in record.measurements("egfr"):
        is_fresh = feature.window_days is None or reported.age_days(record.as_of_epoch) <= feature.window_days
        if reported.code == CKD_EPI_2021_LOINC and is_fresh:
            when, where = reported.time.text, reported.source
            return FeatureValue(
                feature, reported.value, when, where, reported.code, reported.charted_value, reported.charted_unit
            )
    return _newest_missing(record, feature, "creatinine")


def _newest_missing(record: PatientRecord, feature: Feature, analyte: str) -> Missing:
    newest = record.newest(analyte)
    if newest is None:
        return Missing(feature, "absent", f"{feature.words} is not recorded.")
    if record.age_years() is None or record.sex is None:
        return Missing(feature, "unknown", f"{feature.words} needs age and sex.")
    words = f"creatinine {newest.charted_value:g} {newest.charted_unit} is from {newest.time.date}"
    return Missing(feature, "stale", f"{feature.words}: {words}, older than {feature.window_days} days.")


def _newest_measurement(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    refused_before = len(record.refusals)
    measurement = record.newest(feature.analyte or "")
    if measurement is None:
        if len(record.refusals) > refused_before:
            why = record.refusals[-1]
            return Missing(feature, "refused", f"{feature.words}: {why.text}", why.reason == "implausible")
        return Missing(feature, "absent", f"{feature.words} is not recorded.")
    if feature.window_days is not None and int(measurement.age_days(record.as_of_epoch)) > feature.window_days:
        return Missing(feature, "stale", _stale(feature, measurement))
    return FeatureValue(
        feature,
        measurement.value,
        measurement.time.text,
        measurement.source,
        measurement.code,
        measurement.charted_value,
        measurement.charted_unit,
    )


def _stale(feature: Feature, measurement: Measurement) -> str:
    return (
        f"{feature.words} {measurement.charted_value:g} {measurement.charted_unit} is from {measurement.time.date}, "
        f"older than {feature.window_days} days."
    )


def _age(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    age = record.age_years()
    if age is None or not feature.plausible_low <= age <= feature.plausible_high:
        return Missing(feature, "absent", "Age is not known: no usable birth date.")
    return FeatureValue(feature, float(age), record.as_of.date().isoformat(), _patient(record), "birthDate", age, "a")


def _sex(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    sex = record.sex
    if sex is None:
        return Missing(feature, "unknown", "Sex is recorded neither as male nor as female.")
    value = 1.0 if sex == "male" else 0.0
    return FeatureValue(feature, value, record.as_of.date().isoformat(), _patient(record), "gender", value, sex)


_READERS: dict[Kind, Callable[[PatientRecord, Feature], FeatureValue | Missing]] = {
    "age": _age,
    "sex": _sex,
    "bmi": _bmi,
    "egfr": _egfr,
    "condition": condition,
    "pregnancy": pregnancy,
    "comorbidity": comorbidity,
    "medication": medication,
    "smoker": smoker,
    "over": past_limit,
    "stay": hospital_use,
    "stay_condition": stay_condition,
    "destination": destination,
    "mean_pressure": mean_pressure,
    "coma": coma,
    "admission_disease": admission_disease,
    "comorbidity_count": comorbidity_count,
}


def _patient(record: PatientRecord) -> str:
    return f"Patient/{record.patient_id}"
