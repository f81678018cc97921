"""What the patient is on at the instant of the record, and whether a drug is new to them."""

from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from msgspec import Struct

from fhir.mapping.dose import DailyDose, daily_dose
from fhir.mapping.medications import Identity, Order, identify
from fhir.record.record import PatientRecord
from fhir.record.resources import Dosage, MedicationRequest, MedicationStatement, Period
from fhir.record.time import DAY_SECONDS, FhirTime, parse_time

# FHIR R4 medicationrequest-status: active "actionable"; on-hold "temporarily suspended, expected to continue later";
# completed, cancelled, stopped and entered-in-error are over or never were; draft is not an order yet; unknown says
# nothing. A held order is not being taken, so it is not on this list (`held` finds it).
_ON_REQUEST = frozenset({"active"})
# FHIR R4 medication-statement-status: active "still being taken"; intended "may be taken in future": it is on the
# patient's list and meets the drafted order then. unknown "not currently known whether it is being taken", not-taken,
# stopped, completed and on-hold are not on it.
_ON_STATEMENT = frozenset({"active", "intended"})
# medicationrequest-intent: proposal and plan authorise nothing; option is one of several that may be chosen.
_NO_ORDER = frozenset({"proposal", "plan", "option"})
# Every status that means the patient took the drug, or was to take it, at the time.
_WAS_TAKEN_REQUEST = frozenset({"active", "on-hold", "completed", "stopped", "unknown"})
_WAS_TAKEN_STATEMENT = frozenset({"active", "completed", "stopped", "on-hold", "unknown", "intended"})

NEW_START_DAYS = 180


class ActiveMedication(Struct, frozen=True, gc=False):
    """One medication the patient is on: what it is, where it stands, when it was ordered, how much."""

    identity: Identity
    source: str
    authored: FhirTime | None
    dose: DailyDose
    order: Order

    @property
    def name(self) -> str:
        """Ingredient names, or the chart's words when it is not recognised."""
        return self.identity.name


def active_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """What the patient is on, as ordered and as stated, whether recognised or not.

    Not on it: what is stopped, completed, held, not taken, only planned or not to be given, and what ended before
    `as_of` by its own bounds or its dispense's validity.
    """
    return tuple(_active(record))


def _active(record: PatientRecord) -> Iterator[ActiveMedication]:
    for request in record.medication_requests:
        if request.status in _ON_REQUEST and _is_order(request) and _is_going_on(request, record):
            yield _entry(request, f"MedicationRequest/{request.id}", request.authoredOn, record)
    for statement in record.medication_statements:
        if statement.status in _ON_STATEMENT and _is_going_on(statement, record):
            yield _entry(statement, f"MedicationStatement/{statement.id}", _stated(statement), record)


def _entry(order: Order, source: str, when: str | None, record: PatientRecord) -> ActiveMedication:
    identity = identify(order, record.medications)
    time = parse_time(when) if when else None
    return ActiveMedication(identity, source, time, daily_dose(order, identity), order)


def _is_order(request: MedicationRequest) -> bool:
    return request.intent not in _NO_ORDER and request.doNotPerform is not True


def _is_going_on(order: Order, record: PatientRecord) -> bool:
    """Neither over by its own dates nor written after `as_of`, which a chart that is replayed can hold."""
    time = _written(order)
    return not _is_over(order, record.as_of_epoch) and not (time is not None and time.is_after(record.as_of_epoch))


def _written(order: Order) -> FhirTime | None:
    text = order.authoredOn if isinstance(order, MedicationRequest) else order.dateAsserted
    return parse_time(text) if text else None


def _stated(statement: MedicationStatement) -> str | None:
    period = statement.effectivePeriod
    return statement.effectiveDateTime or (period.start if period is not None else None) or statement.dateAsserted


def _is_over(order: Order, as_of_epoch: float) -> bool:
    ends = [_end(period) for period in _periods(order)]
    known = [end for end in ends if end is not None]
    # Over when every end there is lies in the past; one instruction without an end goes on.
    return bool(known) and len(known) == len(ends) and max(known) < as_of_epoch


def _periods(order: Order) -> Iterator[Period]:
    if isinstance(order, MedicationStatement):
        if order.effectivePeriod is not None:
            yield order.effectivePeriod
        return
    bounds = [period for dosage in order.dosageInstruction if (period := _bounds(dosage)) is not None]
    if bounds and len(bounds) == len(order.dosageInstruction):
        yield from bounds
    elif order.dispenseRequest is not None and order.dispenseRequest.validityPeriod is not None:
        yield order.dispenseRequest.validityPeriod


def _bounds(dosage: Dosage) -> Period | None:
    repeat = dosage.timing.repeat if dosage.timing is not None else None
    return repeat.boundsPeriod if repeat is not None else None


def _end(period: Period) -> float | None:
    end = parse_time(period.end) if period.end else None
    if end is None:
        return None
    # FHIR Period: an end given as a day includes that day.
    return end.instant + (DAY_SECONDS if end.precision == "day" else 0.0)


_HISTORIES: WeakKeyDictionary[PatientRecord, Mapping[str, list[tuple[str, Order]]]] = WeakKeyDictionary()


def is_new_start(record: PatientRecord, rxcui: str, *, besides: str | None = None) -> bool:
    """Whether no order or statement of the ingredient that was taken falls in the last 180 days.

    An active order counts whenever it was written: it is being taken. `besides` is the source of the draft itself,
    which is no earlier order. An order without a date counts when it is active.
    """
    known = _HISTORIES.get(record)
    if known is None:
        known = _HISTORIES[record] = _by_ingredient(record)
    return not any(source != besides and _was_taken(order, record) for source, order in known.get(rxcui, ()))


def _by_ingredient(record: PatientRecord) -> dict[str, list[tuple[str, Order]]]:
    found: dict[str, list[tuple[str, Order]]] = {}
    for source, order in _ever_taken(record):
        for rxcui in identify(order, record.medications).rxcuis:
            found.setdefault(rxcui, []).append((source, order))
    return found


def _ever_taken(record: PatientRecord) -> Iterator[tuple[str, Order]]:
    for request in record.medication_requests:
        if request.status in _WAS_TAKEN_REQUEST and _is_order(request):
            yield f"MedicationRequest/{request.id}", request
    for statement in record.medication_statements:
        if statement.status in _WAS_TAKEN_STATEMENT:
            yield f"MedicationStatement/{statement.id}", statement


def _was_taken(order: Order, record: PatientRecord) -> bool:
    time = _written(order)
    return not (time is not None and time.is_after(record.as_of_epoch)) and _is_recent(order, record.as_of_epoch)


def _is_recent(order: Order, as_of_epoch: float) -> bool:
    if order.status == "active" and not _is_over(order, as_of_epoch):
        return True
    when = order.authoredOn if isinstance(order, MedicationRequest) else _stated(order)
    ends = [end for period in _periods(order) if (end := _end(period)) is not None]
    time = parse_time(when) if when else None
    newest = max([*ends, *([time.instant] if time is not None else [])], default=None)
    if newest is None:
        return False
    # Whole days, as the ages of laboratory values are counted.
    return int((as_of_epoch - min(newest, as_of_epoch)) / DAY_SECONDS) <= NEW_START_DAYS
