"""Abnormal results of a patient who is in hospital: the critical ones that nothing after them on the chart answers.

What waits for a visit at home is not told there, and what has to be done is said for a ward.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from cards.preventive.abnormal import FollowUp, open_results
from fhir.mapping.declined import is_open_order
from fhir.mapping.medications.active import active_medications, orders_not_active, written_at
from fhir.mapping.medications.identity import identify_product
from fhir.mapping.stays import is_inpatient
from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.record import PatientRecord
from fhir.record.resources import MedicationAdministration, Procedure, ServiceRequest

_BEGUN: Final = frozenset({"completed", "in-progress"})
_DAYS: Final = 2
"""So old is at most a number that a stay is told of; the project's own choice."""


def results_in_hospital(record: PatientRecord) -> tuple[FollowUp, ...]:
    """Return the critical results of the last days that nothing answers; in an emergency also those that warn."""
    told = {"critical"} if is_inpatient(record) else {"critical", "warning"}
    all_open = record.derive(open_results)
    results = (result for result in all_open if result.row.indicator in told or result.row.in_hospital)
    return tuple(
        replace(result, text=result.row.needed_in_hospital or result.text, when=_when(result))
        for result in results
        if result.row.discharge != "only" and _is_of_now(result, record) and not _is_answered(result, record)
    )


def _is_of_now(result: FollowUp, record: PatientRecord) -> bool:
    """Whether it is of the last days; a critical culture without a treatment is told for as long as its row says."""
    if result.row.in_hospital or (result.row.tests and result.row.indicator == "critical"):
        return True
    time = _time(result)
    is_result = bool(result.row.analytes or result.row.tests)
    return is_result and time is not None and time.is_within(_DAYS, record.as_of_epoch)


def _time(result: FollowUp) -> FhirTime | None:
    return parse_time(result.facts[0].effective) if result.facts else None


def _when(result: FollowUp) -> str:
    """Return the date with the hour as charted: a second result of a day is another one."""
    time = _time(result)
    if time is None or time.precision != "instant":
        return result.when
    zone = " UTC" if time.text.endswith(("Z", "+00:00")) else ""
    return f"{time.text[:16].replace('T', ' ')}{zone}"


def _is_answered(result: FollowUp, record: PatientRecord) -> bool:
    """Whether the chart shows that somebody acted: by an entry since the result, or by a treatment under way."""
    time, row = _time(result), result.row
    if time is None:
        return False
    for words, at in record.derive(_dated_words):
        is_since = not time.is_later_than(at)
        if is_since and row.acted_on and re.search(row.acted_on, words, re.IGNORECASE):
            return True
        is_recent = (time.last_day - at.last_day).days <= 1
        if is_recent and row.under_way and re.search(row.under_way, words, re.IGNORECASE):
            return True
    return False


def _dated_words(record: PatientRecord) -> list[tuple[str, FhirTime]]:
    """Return what was ordered, given and done, each in words with its time; a diagnosis treats nothing."""
    entries = ((words, time) for words, time in _entries(record) if time is not None)
    return [(words, time) for words, time in entries if not time.is_after(record.as_of_epoch)]


def _entries(record: PatientRecord) -> Iterator[tuple[str, FhirTime | None]]:
    over = (one for one in orders_not_active(record) if one.order.status == "completed")
    for one in (*active_medications(record), *over):
        how = " ".join(dose.text for dose in one.order.dosageInstruction)
        yield f"{one.name} {one.identity.words} {one.identity.route} {how}", one.authored
    for dose in record.facts(MedicationAdministration):
        if dose.status in _BEGUN:
            yield identify_product(dose, record.medications).words, written_at(dose)
    for order in record.facts(ServiceRequest):
        if order.code is not None and is_open_order(order, record, _DAYS):
            yield order.code.words, parse_time(order.authoredOn)
    for procedure in record.facts(Procedure):
        if procedure.code is not None and procedure.status in _BEGUN:
            yield procedure.code.words, procedure.performed
