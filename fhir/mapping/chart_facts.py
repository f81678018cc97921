"""Features that are there or not: conditions, medicines, tobacco, a value past a limit; each with its evidence.

What was looked for and not found is 0 and `found` is False: "not recorded" is not "absent", and a card says which it
is. What was not asked for at all is missing.
"""

from collections.abc import Iterator

from fhir.mapping.active_medications import active_medications
from fhir.mapping.condition_groups import group_hits, has_group
from fhir.mapping.conditions import ConditionHit, has_condition
from fhir.mapping.feature import Feature, FeatureValue, Missing
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import Observation
from fhir.record.time import FhirTime
from fhir.terminology.condition_groups import charlson_items, condition_groups, smoking_answers

SMOKING_STATUS = "72166-2"
NOT_FOUND = "not found in the chart"


def condition(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether the record has a condition of the feature's groups; with an analyte and limit, a value past it too.

    With a window alone: what has no clinical status counts only as long, as a diagnosis of an earlier stay has none.
    """
    hit = has_group(record, *feature.groups)
    if hit is not None and _is_current(record, feature, hit):
        return _of_condition(record, feature, hit)
    if not record.knows("Condition"):
        return _not_asked(feature)
    return past_limit(record, feature) if feature.limit is not None else not_found(record, feature)


def _is_current(record: PatientRecord, feature: Feature, hit: ConditionHit) -> bool:
    if feature.window_days is None or feature.limit is not None or hit.status == "active" or hit.time is None:
        return True
    return hit.time.age_days(record.as_of_epoch) <= feature.window_days


def pregnancy(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether a pregnancy is going on."""
    hit = has_condition(record, "pregnancy")
    if hit is not None:
        return _of_condition(record, feature, hit)
    return not_found(record, feature) if record.knows("Condition") else _not_asked(feature)


def comorbidity(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Charlson points as LACE weighs them (tables/charlson_lace.csv); of a family of items the highest counts once."""
    if not record.knows("Condition"):
        return _not_asked(feature)
    hits = group_hits(record)
    there = [item for item in charlson_items() if any(group in hits for group in item.groups)]
    families: dict[str, int] = {}
    for item in there:
        name = item.family or item.words
        families[name] = max(families.get(name, 0), item.points)
    total = float(sum(families.values()))
    known = ", ".join(condition_groups()[_first(item.groups, hits)].meaning.lower() for item in there)
    return _told(record, feature, total, known or "none on record")


def _first(groups: tuple[str, ...], hits: object) -> str:
    return next(group for group in groups if group in hits)  # type: ignore[operator]  # a mapping by group


def medication(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether a medicine of the feature's classes is active, ordered or stated, and goes into the body."""
    wanted = set(feature.classes)
    for each in active_medications(record):
        if each.identity.classes & wanted and each.identity.systemic is not False:
            when = each.authored.text if each.authored is not None else _today(record)
            return FeatureValue(feature, 1.0, when, each.source, "", 1.0, each.name)
    return not_found(record, feature) if record.knows("MedicationRequest") else _not_asked(feature)


def past_limit(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether the newest value of the analyte within the window has reached the limit (is over it where strictly)."""
    newest = record.newest(feature.analyte or "", feature.window_days)
    if newest is None:
        return not_found(record, feature) if record.knows(feature.analyte or "") else _not_asked(feature)
    limit = feature.limit or 0.0
    is_past = newest.value > limit if feature.strictly else newest.value >= limit
    return FeatureValue(
        feature,
        1.0 if is_past else 0.0,
        newest.time.text,
        newest.source,
        newest.code,
        newest.charted_value,
        newest.charted_unit,
    )


def smoker(record: PatientRecord, feature: Feature) -> FeatureValue | Missing:
    """Whether the newest answer to the smoking status (LOINC 72166-2) within the window is a current smoker.

    Without an answer: tobacco use on the problem list is a yes, and nothing is not found.
    """
    answers = sorted(_answers(record, feature), key=lambda found: found[0].instant, reverse=True)
    if answers:
        time, source, code, words, is_current = answers[0]
        return FeatureValue(feature, 1.0 if is_current else 0.0, time.text, source, code, float(is_current), words)
    if not (record.knows("Condition") and record.knows("smoking_status")):
        return _not_asked(feature)
    hit = has_group(record, *feature.groups)
    return _of_condition(record, feature, hit) if hit is not None else not_found(record, feature)


def _answers(record: PatientRecord, feature: Feature) -> Iterator[tuple[FhirTime, str, str, str, bool]]:
    for observation in record.observations:
        if not any(coding.code == SMOKING_STATUS for coding in observation.code.coding):
            continue
        time = effective_time(observation)
        if observation.status not in USABLE_STATUS or time is None or time.is_after(record.as_of_epoch):
            continue
        if feature.window_days is not None and time.age_days(record.as_of_epoch) > feature.window_days:
            continue
        answer = _answer(observation)
        if answer is not None:
            code, words, status = answer
            source = f"Observation/{observation.id}" if observation.id else "Observation without id"
            yield time, source, code, words, status == "current"


def _answer(observation: Observation) -> tuple[str, str, str] | None:
    concept = observation.valueCodeableConcept
    for coding in concept.coding if concept is not None else ():
        status = smoking_answers().get(coding.code or "")
        if status is not None and status != "missing":
            return coding.code or "", concept.words if concept is not None else "", status
    return None


def not_found(record: PatientRecord, feature: Feature) -> FeatureValue:
    """Looked for and not there: counts as no, and is said to be not found."""
    return FeatureValue(feature, 0.0, _today(record), f"Patient/{record.patient_id}", "", 0.0, NOT_FOUND, found=False)


def _of_condition(record: PatientRecord, feature: Feature, hit: ConditionHit) -> FeatureValue:
    when = hit.time.text if hit.time is not None else _today(record)
    return FeatureValue(feature, 1.0, when, hit.source, hit.code, 1.0, hit.words)


def _told(record: PatientRecord, feature: Feature, value: float, words: str) -> FeatureValue:
    return FeatureValue(feature, value, _today(record), f"Patient/{record.patient_id}", "", value, words)


def _not_asked(feature: Feature) -> Missing:
    return Missing(feature, "unknown", f"{feature.words}: the part of the chart that says so is not at hand.")


def _today(record: PatientRecord) -> str:
    return record.as_of.date().isoformat()
