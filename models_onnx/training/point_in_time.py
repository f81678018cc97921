"""What was known of a patient at an instant: nothing that was seen, written or ended later can change a feature.

A resource counts from when it was known: results from when they were issued, diagnoses from when they were recorded
(without a date from the end of the visit they were made in), orders from when they were written. A day without a time
is known when it is over. What has no date at all is left out. What a later hand wrote into a resource is taken out:
the end of a stay and where it went, the end of a condition, the patient's death, how an order ended.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir.record.time import DAY_SECONDS, FhirTime, parse_time

Json = dict[str, Any]

# Where the times of each type stand; every one that is there must have passed.
_TIMES: Mapping[str, tuple[str, ...]] = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod.end", "effectivePeriod.start", "issued"),
    "Condition": ("recordedDate", "onsetDateTime", "onsetPeriod.start"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("dateAsserted", "effectiveDateTime", "effectivePeriod.start"),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
    "Encounter": ("period.start",),
    "Procedure": ("performedDateTime", "performedPeriod.start"),
    "ServiceRequest": ("authoredOn",),
}
# Known whenever they are: about no time.
_TIMELESS = frozenset({"Medication"})
# How an order stands is written over as time goes by; that it was given is what remains true.
_WAS_AN_ORDER = frozenset({"active", "completed", "stopped", "on-hold", "unknown"})


def known_at(patient: Json, resources: Iterable[Json], epoch: float) -> list[Json]:
    """The patient and the resources that were known, without what was written into them later."""
    listed = list(resources)
    ends = {f"Encounter/{each.get('id')}": _at(each, "period.end") for each in listed if _is(each, "Encounter")}
    found = [{name: value for name, value in patient.items() if not name.startswith("deceased")}]
    for resource in listed:
        if resource.get("resourceType") in _TIMELESS:
            found.append(resource)
        elif _is_known(resource, ends, epoch):
            found.append(_as_it_stood(resource, epoch))
    return found


def has_passed(time: FhirTime, epoch: float) -> bool:
    """Whether the time is over at that instant: a day when its last second is, a month and a year likewise."""
    width = {"instant": 0.0, "day": DAY_SECONDS, "month": 31 * DAY_SECONDS, "year": 366 * DAY_SECONDS}
    return time.instant + width[time.precision] <= epoch


def time_of(resource: Json, path: str) -> FhirTime | None:
    """The time at a path of one or two steps; None where there is none that can be read."""
    return _at(resource, path)


def _is_known(resource: Json, ends: Mapping[str, FhirTime | None], epoch: float) -> bool:
    paths = _TIMES.get(str(resource.get("resourceType")))
    if paths is None:
        return False
    times = [time for path in paths if (time := _at(resource, path)) is not None]
    if not times and _is(resource, "Condition"):
        visit = resource.get("encounter")
        end = ends.get(str(visit.get("reference"))) if isinstance(visit, dict) else None
        times = [end] if end is not None else []
    return bool(times) and all(has_passed(time, epoch) for time in times)


def _as_it_stood(resource: Json, epoch: float) -> Json:
    if _is(resource, "Encounter"):
        return _open_stay(resource, epoch)
    if _is(resource, "Condition"):
        return _open_condition(resource, epoch)
    if _is(resource, "MedicationRequest") and resource.get("status") in _WAS_AN_ORDER:
        return {**resource, "status": "active"}
    return resource


def _open_stay(resource: Json, epoch: float) -> Json:
    end = _at(resource, "period.end")
    if end is not None and has_passed(end, epoch):
        return resource
    period = {"start": resource["period"]["start"]}
    return {
        **{name: value for name, value in resource.items() if name not in ("hospitalization", "diagnosis", "length")},
        "period": period,
        "status": "in-progress",
    }


def _open_condition(resource: Json, epoch: float) -> Json:
    ends = [_at(resource, path) for path in ("abatementDateTime", "abatementPeriod.start", "abatementPeriod.end")]
    known = [end for end in ends if end is not None]
    if known and all(has_passed(end, epoch) for end in known):
        return resource
    kept = {name: value for name, value in resource.items() if not name.startswith("abatement")}
    status = kept.get("clinicalStatus")
    if known or status is not None:
        # Whether it is over is written when it is over, which was not yet, or nobody knows when.
        kept["clinicalStatus"] = {"coding": [{"code": "active"}]}
    return kept


def _is(resource: Json, kind: str) -> bool:
    return resource.get("resourceType") == kind


def _at(resource: Json, path: str) -> FhirTime | None:
    value: Any = resource
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return parse_time(value) if isinstance(value, str) else None
