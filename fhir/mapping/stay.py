"""Whether the patient is in hospital at the instant of the record."""

from fhir.record.record import PatientRecord
from fhir.record.resources import Encounter
from fhir.record.subject import last_part
from fhir.record.time import parse_time

# HL7 v3 ActCode: inpatient encounter, inpatient acute, inpatient non-acute.
_INPATIENT = frozenset({"IMP", "ACUTE", "NONAC"})
_GOING_ON = frozenset({"in-progress", "onleave"})


def is_inpatient(record: PatientRecord) -> bool:
    """Whether a stay in hospital covers `as_of`: one whose period does, or one in progress without an end."""
    return any(_covers(encounter, record.as_of_epoch) for encounter in record.encounters)


def _covers(encounter: Encounter, as_of_epoch: float) -> bool:
    if encounter.class_ is None or encounter.class_.code not in _INPATIENT:
        return False
    period = encounter.period
    start = parse_time(period.start) if period is not None and period.start else None
    end = parse_time(period.end) if period is not None and period.end else None
    if start is not None and start.is_after(as_of_epoch):
        return False
    if end is None:
        return encounter.status in _GOING_ON
    # An end given as a day lasts until that day is over.
    return start is not None and end.instant + (0.0 if end.precision == "instant" else 86_400.0) >= as_of_epoch


def care_units(record: PatientRecord) -> frozenset[str]:
    """Where the patient is seen now: ids and names of the locations and the provider of visits in progress."""
    going_on = (visit for visit in record.encounters if visit.status in _GOING_ON)
    places = [
        place for visit in going_on for place in (visit.serviceProvider, *(one.location for one in visit.location))
    ]
    names = {
        name for place in places if place is not None for name in (place.display, last_part(place.reference or ""))
    }
    return frozenset(name for name in names if name)
