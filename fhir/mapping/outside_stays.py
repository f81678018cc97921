"""Leaves out of a feature vector what was measured in hospital: an estimate for people living at home."""

from math import nan
from typing import Final

from fhir.mapping.features.feature import FeatureVector, Missing
from fhir.mapping.stays import emergency_visits, stays_in_hospital
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.record import PatientRecord

STAY_DAYS: Final = 14.0
"""Values of a stay in hospital and of so many days after it are not used: the studies are of people living at home."""


def without_stays(record: PatientRecord, vector: FeatureVector, *, emergencies: bool = False) -> FeatureVector:
    """The vector without what was measured in a stay in hospital, or in the two weeks after it.

    With `emergencies` what was measured on the day of an emergency visit is left out too. Where an older value of the
    same kind was measured outside every such time it is not looked for: it would be of another state of the patient
    than the other inputs.
    """
    spans = [
        (stay.start.instant - DAY_SECONDS, stay.until(record.as_of_epoch) + STAY_DAYS * DAY_SECONDS)
        for stay in stays_in_hospital(record)
    ]
    visits = [
        (visit.start.instant, (visit.end or visit.start).instant + DAY_SECONDS)
        for visit in (emergency_visits(record) if emergencies else ())
    ]
    if not spans and not visits:
        return vector
    values, evidence, missing = vector.values.copy(), list(vector.evidence), list(vector.missing)
    for position, value in enumerate(vector.evidence):
        if value is None or not value.is_measured:
            continue
        time = parse_time(value.effective)
        if time is None:
            continue
        if any(begin <= time.instant <= end for begin, end in spans):
            occasion = "a stay in hospital or the two weeks after it"
        elif any(begin <= time.instant <= end for begin, end in visits):
            occasion = "an emergency visit"
        else:
            continue
        words = f"{value.feature.words} of {value.effective[:10]} is of {occasion}."
        missing.append(Missing(value.feature, "refused", words))
        values[position], evidence[position] = nan, None
    return FeatureVector(vector.features, values, evidence, missing)
