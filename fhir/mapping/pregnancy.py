"""Whether a pregnancy on the record is still going on, and how far it is."""

from collections.abc import Iterator

from fhir.record.record import PatientRecord
from fhir.record.resources import CodeableConcept
from fhir.record.time import DAY_SECONDS, FhirTime, parse_time
from fhir.terminology.conditions import ends_pregnancy

# shared/data/medications/conditions.csv: "a finished pregnancy is often left active in charts".
LONGEST_DAYS = 310.0
# tables of the pregnancy rules: gestational age from "onset date of the condition minus two weeks".
_WEEKS_BEFORE_ONSET = 2.0


def is_current_pregnancy(record: PatientRecord, since: FhirTime | None) -> bool:
    """Whether a pregnancy charted `since` then is going on: within 310 days, and no later end of it on the record.

    Without a date it cannot be shown to be current: False.
    """
    if since is None or since.age_days(record.as_of_epoch) > LONGEST_DAYS:
        return False
    return not any(since.instant <= end.instant <= record.as_of_epoch for end in _ends(record))


def gestation_weeks(record: PatientRecord, since: FhirTime | None) -> int | None:
    """Completed weeks of a pregnancy charted `since` then; None without the day it began.

    The onset counts as two weeks into the pregnancy, as the rule tables say.
    """
    if since is None or since.precision not in ("day", "instant"):
        return None
    days = (record.as_of_epoch - since.instant) / DAY_SECONDS
    return int(days / 7.0 + _WEEKS_BEFORE_ONSET) if days >= 0 else None


def _ends(record: PatientRecord) -> Iterator[FhirTime]:
    for condition in record.conditions:
        if _ends_it(condition.code):
            yield from _time(condition.onsetDateTime or condition.recordedDate)
    for procedure in record.procedures:
        if procedure.status == "completed" and _ends_it(procedure.code):
            period = procedure.performedPeriod
            yield from _time(procedure.performedDateTime or (period.start if period is not None else None))


def _ends_it(concept: CodeableConcept | None) -> bool:
    return concept is not None and any(ends_pregnancy(coding.system, coding.code) for coding in concept.coding)


def _time(text: str | None) -> Iterator[FhirTime]:
    time = parse_time(text) if text else None
    if time is not None:
        yield time
