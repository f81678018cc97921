"""Which condition groups a patient has: one pass over the record, with the evidence of each."""

from collections.abc import Mapping

from fhir.mapping.conditions import ConditionHit, hit_of, is_better
from fhir.record.record import PatientRecord
from fhir.terminology.condition_groups import condition_groups, groups_of


def group_hits(record: PatientRecord) -> Mapping[str, ConditionHit]:
    """The condition of each group that the record has and that counts at `as_of`, made once per record.

    What is resolved counts only in groups that are kept for good; what begins after `as_of` never does.
    """
    known: Mapping[str, ConditionHit] | None = record.derived.get("condition groups")
    if known is None:
        known = record.derived["condition groups"] = _find(record)
    return known


def has_group(record: PatientRecord, *groups: str) -> ConditionHit | None:
    """The condition of the first of these groups that the record has; KeyError for a group that the table lacks."""
    known = condition_groups()
    hits = group_hits(record)
    return next((hits[known[group].key] for group in groups if known[group].key in hits), None)


def _find(record: PatientRecord) -> dict[str, ConditionHit]:
    groups = condition_groups()
    encounters = {f"Encounter/{one.id}": one for one in record.encounters}
    hits: dict[str, ConditionHit] = {}
    for condition in record.conditions:
        for coding in condition.code.coding if condition.code is not None else ():
            for key in groups_of(coding.system, coding.code):
                hit = hit_of(key, condition, coding.code or "", encounters, record.as_of_epoch)
                is_ahead = hit.time is not None and hit.time.is_after(record.as_of_epoch)
                counts = not is_ahead and (hit.status != "past" or groups[key].keeps)
                if counts and is_better(hit, hits.get(key)):
                    hits[key] = hit
    return hits
