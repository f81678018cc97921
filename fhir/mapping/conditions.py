"""Which conditions of the table a patient has: one pass over the record, with the evidence of each."""

from collections.abc import Mapping
from itertools import chain
from typing import Literal, TypeAlias

from msgspec import Struct

from fhir.mapping.pregnancy import is_current_pregnancy, observed_pregnancy
from fhir.record.record import PatientRecord
from fhir.record.refusal import Refusal
from fhir.record.resources import Condition, Encounter
from fhir.record.time import FhirTime, parse_time
from fhir.terminology.conditions import condition_keys, keys_of

Status: TypeAlias = Literal["active", "unstated", "past"]

# FHIR R4 condition-clinical: active, recurrence and relapse are states of being ill; inactive, remission and resolved
# are not. con-4: what has an abatement in the past is not active, whatever the status says.
_ILL = ("active", "recurrence", "relapse")
_FIVE_YEARS_DAYS = 5 * 365.25


class ConditionHit(Struct, frozen=True, gc=False):
    """A condition that counts: the key it means, the chart's words and code, where it stands, since when.

    `status` is "unstated" for encounter diagnoses without a clinical status; `time` is onset, else the recorded
    date, else the start of the encounter it was made in; `is_onset` says that it is the onset.
    """

    key: str
    words: str
    code: str
    source: str
    time: FhirTime | None
    status: Status
    is_onset: bool = False


def has_condition(record: PatientRecord, key: str) -> ConditionHit | None:
    """The newest condition of the record that means `key` (tables/conditions.csv), None when there is none; of a
    pregnancy the earliest entry that belongs to it.

    Raises KeyError for a key that the table does not have: a misspelt rule must not be a silent one.
    """
    condition_keys()[key]
    hit = condition_hits(record).get(key) if key in _coded_keys(record) else None
    return _observed_pregnancy(record) if hit is None and key == "pregnancy" else hit


def _observed_pregnancy(record: PatientRecord) -> ConditionHit | None:
    """A pregnancy that a test, a status, a due date or a visit tells."""
    found = observed_pregnancy(record)
    if found is None:
        return None
    return ConditionHit("pregnancy", found.words, found.code, found.source, found.time, "active")


def _coded_keys(record: PatientRecord) -> frozenset[str]:
    """Every key that some code of the record means, whether it counts or not: most questions end here."""
    known: frozenset[str] | None = record.derived.get("condition keys")
    if known is None:
        codes = (condition.code for condition in record.conditions if condition.code is not None)
        keys = (keys_of(coding.system, coding.code) for code in codes for coding in code.coding)
        known = record.derived["condition keys"] = frozenset(chain.from_iterable(keys))
    return known


def condition_hits(record: PatientRecord) -> Mapping[str, ConditionHit]:
    """Every condition key the record has, made once per record."""
    known: Mapping[str, ConditionHit] | None = record.derived.get("condition hits")
    if known is None:
        known = record.derived["condition hits"] = _find(record)
    return known


def _find(record: PatientRecord) -> dict[str, ConditionHit]:
    hits: dict[str, ConditionHit] = {}
    encounters: dict[str, Encounter] | None = None
    for condition in record.conditions:
        for coding in condition.code.coding if condition.code is not None else ():
            for key in keys_of(coding.system, coding.code):
                if encounters is None:
                    encounters = {f"Encounter/{one.id}": one for one in record.encounters}
                hit = hit_of(key, condition, coding.code or "", encounters, record.as_of_epoch)
                if _counts(hit, record) and is_better(hit, hits.get(key)):
                    hits[key] = hit
    return hits


def hit_of(
    key: str, condition: Condition, code: str, encounters: Mapping[str, Encounter], as_of_epoch: float
) -> ConditionHit:
    """What one condition is as a hit of `key`, whether it counts or not; encounters by 'Encounter/id' may date it."""
    words = condition.code.words if condition.code is not None else ""
    source = f"Condition/{condition.id}" if condition.id else "Condition without id"
    time = condition_time(condition, encounters)
    is_onset = bool(condition.onsetDateTime or condition.onsetPeriod)
    return ConditionHit(key, words, code, source, time, condition_status(condition, as_of_epoch), is_onset)


def condition_time(condition: Condition, encounters: Mapping[str, Encounter]) -> FhirTime | None:
    """Since when: onset, else the date it was recorded, else the start of its encounter (by 'Encounter/id')."""
    period = condition.onsetPeriod
    text = condition.onsetDateTime or (period.start if period is not None else None) or condition.recordedDate
    if text is None and condition.encounter is not None:
        encounter = encounters.get(condition.encounter.reference or "")
        text = encounter.period.start if encounter is not None and encounter.period is not None else None
    return parse_time(text) if text else None


def condition_status(condition: Condition, as_of_epoch: float) -> Status:
    """Whether it goes on, is over, or does not say."""
    if _is_abated(condition, as_of_epoch):
        return "past"
    stated = condition.clinicalStatus
    if stated is None or not (stated.coding or stated.text):
        return "unstated"
    return "active" if any(stated.has(code) or (stated.text or "").lower() == code for code in _ILL) else "past"


def _is_abated(condition: Condition, as_of_epoch: float) -> bool:
    period = condition.abatementPeriod
    text = condition.abatementDateTime or (period.end or period.start if period is not None else None)
    ended = parse_time(text) if text else None
    if ended is not None:
        return not ended.is_after(as_of_epoch)
    return bool(condition.abatementString)


def _counts(hit: ConditionHit, record: PatientRecord) -> bool:
    if hit.time is not None and hit.time.is_after(record.as_of_epoch):
        return False
    if hit.key == "pregnancy":
        return _counts_as_pregnancy(hit, record)
    history = condition_keys()[hit.key].when_resolved
    if history == "5 years":
        return _is_recent(hit, record.as_of_epoch) if hit.time is not None else hit.status != "past"
    return hit.status != "past" or history == "any"


def _is_recent(hit: ConditionHit, as_of_epoch: float) -> bool:
    return hit.time is not None and hit.time.age_days(as_of_epoch) <= _FIVE_YEARS_DAYS


def _counts_as_pregnancy(hit: ConditionHit, record: PatientRecord) -> bool:
    if record.sex == "male":
        refusal = Refusal(hit.source, "impossible", f"{hit.source}: a pregnancy code on a man's record: not used.")
        if refusal not in record.refusals:
            record.refusals.append(refusal)
        return False
    return hit.status != "past" and is_current_pregnancy(record, hit.time)


def is_better(hit: ConditionHit, known: ConditionHit | None) -> bool:
    """Whether a hit says more than the one known so far, if any."""
    if known is None:
        return True
    if hit.key == "pregnancy" and hit.time is not None and known.time is not None:
        # A complication is charted weeks after the pregnancy began: the earliest entry of this pregnancy dates it.
        return hit.time.instant < known.time.instant
    # A stated status says more than an unstated one; then the later date.
    return (hit.status == "active", hit.time.instant if hit.time else 0.0) > (
        known.status == "active",
        known.time.instant if known.time else 0.0,
    )
