"""What the patient is taking at the instant of the record, what may be taken, and whether a drug of some kind is.

FHIR R4, medication-statement-status and medicationrequest-status (read on 2026-11-22): unknown is "not currently known
whether it is being taken", so it is neither counted as taken nor as absent; on-hold is "temporarily suspended", so it
is not taken now and may be again.

Every sentence "no anticoagulant found" asks `presence_of`. A medication that is on the list and that no table knows may
be the one that is looked for, so it is never counted as its absence.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.dosage import course_days, days_of_count, quantity_days
from fhir.mapping.medications.identity import MedicationIdentity, Order, identify_product, with_route
from fhir.mapping.medications.last_day import days_in_notes, last_day_in_words
from fhir.record.datatypes import DAY_SECONDS, CodeableConcept, FhirTime, Period, first_few, parse_time, plain
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.refusals import Refusal
from fhir.record.resources import MedicationAdministration, MedicationDispense, MedicationRequest, MedicationStatement
from fhir.terminology.medication_names import is_local, no_drug_kind

# FHIR R4 medicationrequest-status: active "actionable"; on-hold "temporarily suspended, expected to continue later";
# completed, cancelled, stopped and entered-in-error are over or never were; draft is not an order yet; unknown says
# nothing. A held order is not being taken, so it is not on this list (`held` finds it).
_ON_REQUEST = frozenset({"active"})
# FHIR R4 medication-statement-status: active "still being taken"; intended "may be taken in future": it is on the
# patient's list and meets the drafted order then. unknown "not currently known whether it is being taken", not-taken,
# stopped, completed and on-hold are not on it.
_ON_STATEMENT = frozenset({"active", "intended"})
# medicationrequest-intent: proposal and plan authorize nothing; option is one of several that may be chosen. A plan
# that is reported is what the patient takes without a prescription (US Core, medication list guidance).
_NO_ORDER = frozenset({"proposal", "plan", "option"})
# medicationrequest-intent: what carries out an order ("one instance of the order's use", "by the filler").
_INSTANCES = frozenset({"instance-order", "filler-order"})
# Every status that means the patient took the drug, or was to take it, at the time.
_WAS_TAKEN_REQUEST = frozenset({"active", "on-hold", "completed", "stopped", "unknown"})
_WAS_TAKEN: Mapping[type[Order], frozenset[str]] = {
    MedicationRequest: _WAS_TAKEN_REQUEST,
    MedicationStatement: _WAS_TAKEN_REQUEST | {"intended"},
}

# medicationdispense-status: only completed says that the patient got it.
_GIVEN_OUT = frozenset({"completed"})
# A supply of unknown length: the longest one that is usual (a fill of 90 days).
_LONGEST_SUPPLY_DAYS = 90.0
# So long an order counts that came without a status (rules/duplicate.json, dates_missing).
_NO_STATUS_DAYS = 365
# medicationadministration-status: in-progress "has started but not yet completed", completed "all actions have
# occurred". What is given regularly is given at least every second day; an infusion ends with its period.
_GIVEN = frozenset({"completed", "in-progress"})
_GIVEN_DAYS = 2.0
# Charts keep orders active for years. One that has no end and is older than this was forgotten, not taken.
_LONGEST_ORDER_YEARS = 10.0
ORDER_TOO_OLD = "order-too-old"
"""The reason of an order that is not counted as taken because it was written so long ago."""

SUPPLY_ENDED = "supply-ended"
"""The reason of an order that is not counted as taken because what was to be dispensed was used up long ago."""

_WAS_SUPPLIED: Mapping[type[Order], frozenset[str]] = {
    MedicationDispense: _GIVEN_OUT,
    MedicationAdministration: _GIVEN,
}
_YEAR_DAYS = 365.25
NEW_START_DAYS = 180
# FHIR R4, medicationrequest-status and medication-statement-status.
_OVER = frozenset({"stopped", "completed", "on-hold"})


class ActiveMedication(Struct, frozen=True, gc=False):
    """One medication of the patient: what it is, its resource, when it was ordered, and when it `ended` if it did."""

    identity: MedicationIdentity
    source: str
    authored: FhirTime | None
    order: Order
    ended: FhirTime | None = None

    @property
    def dose(self) -> DailyDose:
        """The daily dose, computed when it is asked for."""
        return daily_dose(self.order, self.identity)

    @property
    def name(self) -> str:
        """Ingredient names, or the chart's words when it is not recognized."""
        return self.identity.name


def active_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """Return the medications that the patient is taking, as ordered, stated and given, whether recognized or not.

    Not on it: what is stopped, completed, held, not taken, only planned or not to be given, replaced by a later order,
    and what ended before `as_of` by its own bounds, the length of its course or its dispense's validity. A statement
    that repeats an order (the same drugs, no other strength) is that order: its dose must not count twice. What a
    pharmacy gave out counts while the supply lasts, and what was given in the hospital for two days, where no order or
    statement tells of that drug.
    An order of over ten years ago without an end is not on it (`forgotten_orders`), nor is one whose supply ended as
    long ago as it lasts; both are gaps (`fhir/mapping/gaps.py`).
    """
    return record.derive(_find_active).listed


def forgotten_orders(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """Active orders without an end that were written over ten years ago: whether they are carried out is not known."""
    return record.derive(_find_active).forgotten


class _Active(Struct, frozen=True, gc=False):
    listed: tuple[ActiveMedication, ...]
    forgotten: tuple[ActiveMedication, ...]
    used_up: tuple[ActiveMedication, ...]


def _find_active(record: PatientRecord) -> _Active:
    forgotten: list[ActiveMedication] = []
    used_up: list[ActiveMedication] = []
    listed = tuple(_active(record, forgotten, used_up))
    for supplied in (record.facts(MedicationDispense), _given_lately(record)):
        if supplied:
            listed = (*listed, *_supplied(supplied, record, listed))
    return _Active(listed, tuple(forgotten), tuple(used_up))


def refused_orders(record: PatientRecord) -> Iterator[Refusal]:
    """Yield the orders that no longer count: whether they are carried out is not known."""
    for order in forgotten_orders(record):
        yield _not_listed(order, "has no end", ORDER_TOO_OLD)
    for order in record.derive(_find_active).used_up:
        yield _not_listed(order, "its supply has ended", SUPPLY_ENDED)


def _not_listed(order: ActiveMedication, what: str, reason: str) -> Refusal:
    day = order.authored.date if order.authored is not None else ""
    text = f"{plain(order.name, 60)} was ordered on {day} and {what}: whether it is still taken is not known."
    return Refusal(order.source, reason, text)


def _active(
    record: PatientRecord, forgotten: list[ActiveMedication], used_up: list[ActiveMedication]
) -> Iterator[ActiveMedication]:
    """Yield what is ordered and stated; orders that no longer count are added to `forgotten` and `used_up`."""
    replaced = _replaced(record)
    ordered: list[MedicationIdentity] = []
    for request in _instances_last(record.facts(MedicationRequest)):
        if request.status is not None and request.status not in _ON_REQUEST:
            continue  # most of them: their dates are not read
        written = parse_time(request.authoredOn)
        if request.status is None and (written is None or written.whole_days(record.as_of_epoch) > _NO_STATUS_DAYS):
            continue
        if _is_order(request) and _goes_on(request, written, record) and request.source not in replaced:
            identity = _identity(request, record)
            if request.intent in _INSTANCES and any(_repeats(identity, order) for order in ordered):
                continue  # the order it carries out is on the list
            medication = ActiveMedication(identity, request.source, written, request)
            if _is_forgotten(request, written, record):
                (forgotten if _supply_days(request) is None else used_up).append(medication)
                continue
            ordered.append(identity)
            yield medication
    for statement in record.facts(MedicationStatement):
        if statement.status in _ON_STATEMENT and _is_going_on(statement, record):
            entry = _entry(statement, record)
            if not any(_repeats(entry.identity, order) for order in ordered):
                yield entry


def _instances_last(requests: Sequence[MedicationRequest]) -> Sequence[MedicationRequest]:
    """Return the orders in their order, those that carry out another one after all others."""
    instances = [request for request in requests if request.intent in _INSTANCES]
    return (
        [*(request for request in requests if request.intent not in _INSTANCES), *instances] if instances else requests
    )


def _repeats(stated: MedicationIdentity, ordered: MedicationIdentity) -> bool:
    """Whether what is stated is what was ordered: the same drugs, given alike, and no other strength."""
    if not stated.recognised or set(stated.rxcuis) != set(ordered.rxcuis) or stated.systemic is not ordered.systemic:
        return False
    theirs = dict(zip(ordered.rxcuis, ordered.strengths, strict=True))
    pairs = ((strength, theirs[rxcui]) for rxcui, strength in zip(stated.rxcuis, stated.strengths, strict=True))
    return all(mine is None or other is None or mine == other for mine, other in pairs)


def _replaced(record: PatientRecord) -> frozenset[str]:
    """Orders that a later order names as the one before it."""
    return frozenset(
        relative_reference(prior.reference)
        for order in record.facts(MedicationRequest)
        if (prior := order.priorPrescription) is not None
        and prior.reference
        and order.status in _WAS_TAKEN_REQUEST
        and _is_order(order)
    )


def _is_forgotten(request: MedicationRequest, written: FhirTime | None, record: PatientRecord) -> bool:
    """Whether an order without an end was written so long ago that nobody can take it for one of today.

    What was to be dispensed may last longer than it should, and a refill may be late: such an order counts for as long
    again as its supply lasts. That is the project's own choice; studies of persistence allow such a gap, too.
    """
    if written is None or end_of_order(request, record) is not None:
        return False
    days = _supply_days(request)
    most = _LONGEST_ORDER_YEARS * _YEAR_DAYS if days is None else 2.0 * days
    return written.whole_days(record.as_of_epoch) > most


def _supply_days(request: MedicationRequest) -> float | None:
    """Return how long what is to be dispensed lasts, refills counted; None where the order does not say it.

    What says until when it may be dispensed ends by that (`order_end`), or by nothing where that cannot be read.
    """
    dispense = request.dispenseRequest
    is_dated = dispense is not None and dispense.validityPeriod is not None
    supply = dispense.expectedSupplyDuration if dispense is not None and not is_dated else None
    days = quantity_days(supply) if supply is not None else None
    if days is None and not is_dated:
        days = days_of_count(request.dosageInstruction)
    return days * _fills(request) if days is not None and days > 0 else None


def _fills(request: MedicationRequest) -> int:
    dispense = request.dispenseRequest
    return 1 + ((dispense.numberOfRepeatsAllowed if dispense is not None else None) or 0)


def _given_lately(record: PatientRecord) -> list[MedicationAdministration]:
    """Return what may not be over by its text, so that few dates are parsed: most of a long list are over."""
    earliest = (record.as_of - timedelta(days=_GIVEN_DAYS + 2)).date().isoformat()  # in every time zone
    given = record.facts(MedicationAdministration)
    periods = [administration.effectivePeriod for administration in given]
    texts = [
        (period.end or period.start) if period is not None else administration.effectiveDateTime
        for administration, period in zip(given, periods, strict=True)
    ]
    # A month or a year ends later than its text says.
    return [
        administration
        for administration, text in zip(given, texts, strict=True)
        if text is None or text >= earliest or len(text) < len(earliest)
    ]


def _supplied(
    supplies: Sequence[MedicationDispense | MedicationAdministration],
    record: PatientRecord,
    ordered: tuple[ActiveMedication, ...],
) -> Iterator[ActiveMedication]:
    """Yield what was given out or given for an order not on the record, where nothing else tells of that drug."""
    listed = {frozenset(order.identity.rxcuis) for order in ordered if order.identity.recognised}
    sources = {request.source for request in record.facts(MedicationRequest)}
    for supply in supplies:
        end = _supply_end(supply) if isinstance(supply, MedicationDispense) else _administration_end(supply)
        if end < record.as_of_epoch or supply.status not in _WAS_SUPPLIED[type(supply)]:
            continue
        written = written_at(supply)
        if written is None or written.is_after(record.as_of_epoch) or _is_of(supply, sources):
            continue
        entry = _entry(supply, record)
        if frozenset(entry.identity.rxcuis) not in listed:
            listed.add(frozenset(entry.identity.rxcuis) or frozenset({entry.source}))
            yield entry


def _is_of(supply: MedicationDispense | MedicationAdministration, orders: Set[str]) -> bool:
    references = supply.authorizingPrescription if isinstance(supply, MedicationDispense) else (supply.request,)
    return any(reference is not None and relative_reference(reference.reference) in orders for reference in references)


def ended_medications(record: PatientRecord, within_days: float) -> tuple[ActiveMedication, ...]:
    """Return the medications that ended on a known day of the last `within_days` and are not active any more.

    FHIR R4 says of a stopped order not when it was stopped; only an end of its own period is known.
    """
    earliest = record.as_of_epoch - within_days * DAY_SECONDS
    return tuple(_ended(record, earliest))


def orders_not_active(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """Return the orders and statements whose status says that they are over or on hold, the newest first."""
    entries = [_entry(order, record) for order in _stated(record) if order.status in _OVER]
    return tuple(sorted(entries, key=lambda entry: entry.authored.instant if entry.authored else 0.0, reverse=True))


def _stated(record: PatientRecord) -> Iterator[MedicationRequest | MedicationStatement]:
    yield from filter(_is_order, record.facts(MedicationRequest))
    yield from record.facts(MedicationStatement)


def _ended(record: PatientRecord, earliest: float) -> Iterator[ActiveMedication]:
    for order in record.derive(_ever_ordered):
        last = _last_day(order) if not _is_on(order, record) else None
        if last is not None and earliest <= last.instant <= record.as_of_epoch:
            yield msgspec.structs.replace(_entry(order, record), ended=last)


def _last_day(order: Order) -> FhirTime | None:
    """Return when it ended by its own period or the length of its course; None where neither is known."""
    ends = [period.finish for period in _bounds(order) or _validity(order) if period.end]
    if ends:
        return max(filter(None, ends), key=_instant, default=None)
    if not isinstance(order, MedicationRequest | MedicationStatement) or (end := _course_end(order)) is None:
        return None
    # The last second of a course belongs to its last day.
    return parse_time(datetime.fromtimestamp(end - 1.0, UTC).date().isoformat())


def _instant(time: FhirTime) -> float:
    return time.instant


def _is_on(order: Order, record: PatientRecord) -> bool:
    on = _ON_REQUEST if isinstance(order, MedicationRequest) else _ON_STATEMENT
    return order.status in on and _is_going_on(order, record)


def _entry(order: Order, record: PatientRecord) -> ActiveMedication:
    return ActiveMedication(_identity(order, record), order.source, begun_at(order), order)


def _identity(order: Order, record: PatientRecord) -> MedicationIdentity:
    """Return what it is, found once for each order of the record."""
    identities: dict[int, MedicationIdentity] = record.kept("identities of orders")
    identity = identities.get(id(order))
    if identity is None:
        identity = identities[id(order)] = with_route(_product(order, record), order.dosageInstruction)
    return identity


def _product(order: Order, record: PatientRecord) -> MedicationIdentity:
    """Return the same whatever its route, found once for all orders that refer to one Medication and name nothing."""
    reference = order.medicationReference
    if reference is None or order.contained or order.medicationCodeableConcept is not None:
        return identify_product(order, record.resources.medications)
    products: dict[tuple[str, str], MedicationIdentity] = record.kept("products by reference")
    key = (reference.reference, reference.display)
    product = products.get(key)
    if product is None:
        product = products[key] = identify_product(order, record.resources.medications)
    return product


def _is_order(request: MedicationRequest) -> bool:
    if request.intent in _NO_ORDER and not (request.intent == "plan" and request.is_reported):
        return False
    return request.doNotPerform is not True


def _is_going_on(order: Order, record: PatientRecord) -> bool:
    return _goes_on(order, written_at(order), record)


def _goes_on(order: Order, written: FhirTime | None, record: PatientRecord) -> bool:
    """Neither over by its own dates nor written after `as_of`, which a chart that is replayed can hold."""
    return not (_is_over(order, record) or (written is not None and written.is_after(record.as_of_epoch)))


def written_at(order: Order) -> FhirTime | None:
    """When it was ordered, reported, handed over or given; None without a readable date."""
    text = order.dateAsserted if isinstance(order, MedicationStatement) else _since(order)
    return parse_time(text)


def begun_at(order: Order) -> FhirTime | None:
    """When it was ordered, taken from, handed over or given; None without a readable date."""
    return parse_time(_since(order))


def _since(order: Order) -> str | None:
    if isinstance(order, MedicationRequest):
        return order.authoredOn
    if isinstance(order, MedicationDispense):
        return order.whenHandedOver or order.whenPrepared
    period = order.effectivePeriod
    when = order.effectiveDateTime or (period.start if period is not None else None)
    return when or (order.dateAsserted if isinstance(order, MedicationStatement) else None)


def _is_over(order: Order, record: PatientRecord) -> bool:
    # Over when every end there is lies in the past; one instruction without an end goes on.
    end = end_of_order(order, record)
    return end is not None and end < record.as_of_epoch


def end_of_order(order: Order, record: PatientRecord) -> float | None:
    """Return `order_end`, for which the words of an order are read once: rules about pairs ask for each pair."""
    ends: dict[int, tuple[Order, float | None]] = record.kept("ends of orders")
    kept = ends.get(id(order))
    if kept is None:
        kept = ends[id(order)] = (order, order_end(order))
    return kept[1]


def order_end(order: Order) -> float | None:
    """Return the epoch second when an order ends by its own bounds, validity or supply; None when it goes on."""
    if isinstance(order, MedicationDispense):
        return _supply_end(order)
    if isinstance(order, MedicationAdministration):
        return _administration_end(order)
    bounds = _bounds(order)
    # A period of bounds without an end says when a course begins.
    if not any(period.end for period in bounds) and (end := _course_end(order)) is not None:
        return end
    ends = [_end(period) for period in bounds or _validity(order)]
    known_ends = [end for end in ends if end is not None]
    return max(known_ends) if known_ends and len(known_ends) == len(ends) else None


def _course_end(order: MedicationRequest | MedicationStatement) -> float | None:
    """Return when the course that the instructions describe is over; None where one of them goes on or nobody knows."""
    if (last := last_day_in_words(order.dosageInstruction, order.note)) is not None:
        return _end(Period(end=last.isoformat()))
    days = course_days(order.dosageInstruction) or days_in_notes(order.note)
    begun = max((period.start for period in _bounds(order) if period.start), default=None) or _since(order)
    start = parse_time(begun) if days is not None and begun else None
    if days is None or start is None:
        return None
    fills = _fills(order) if isinstance(order, MedicationRequest) else 1
    # What begins within a day may end within one.
    return start.instant + (days * fills + _span_days(start)) * DAY_SECONDS


def _supply_end(dispense: MedicationDispense) -> float:
    given = written_at(dispense)
    days = quantity_days(dispense.daysSupply) if dispense.daysSupply is not None else None
    # The day of the last dose is still one of the supply.
    lasts = (days if days is not None else _LONGEST_SUPPLY_DAYS) + 1.0
    return given.instant + lasts * DAY_SECONDS if given is not None else 0.0


def _administration_end(administration: MedicationAdministration) -> float:
    """Two days after it was given; what is being given lasts as long at least."""
    period = administration.effectivePeriod
    text = (period.end or period.start) if period is not None else administration.effectiveDateTime
    given = parse_time(text)
    # A day without a time ends with that day.
    return given.instant + (_GIVEN_DAYS + _span_days(given)) * DAY_SECONDS if given is not None else 0.0


def _bounds(order: Order) -> Sequence[Period]:
    if isinstance(order, MedicationRequest):
        bounds = []
        for dosage_instruction in order.dosageInstruction:
            timing = dosage_instruction.timing
            if timing is None or (timing.repeat is None and not timing.event):
                return ()
            period = timing.repeat.boundsPeriod if timing.repeat is not None else Period(end=max(timing.event))
            if period is None:
                return ()
            bounds.append(period)
        return bounds
    period = order.effectivePeriod if isinstance(order, MedicationStatement) else None
    return (period,) if period is not None and period.end else ()


def _validity(order: Order) -> Sequence[Period]:
    if isinstance(order, MedicationRequest):
        dispense = order.dispenseRequest
        return (dispense.validityPeriod,) if dispense is not None and dispense.validityPeriod is not None else ()
    if isinstance(order, MedicationStatement) and order.effectivePeriod is not None:
        return (order.effectivePeriod,)
    return ()


def _end(period: Period) -> float | None:
    end = period.finish
    if end is None:
        return None
    # FHIR Period: an end given as a day includes that day, one given as a month all of its days.
    return end.instant + _span_days(end) * DAY_SECONDS


def _span_days(time: FhirTime) -> int:
    """How many days a time without a time of day can mean; none of an instant."""
    return 0 if time.precision == "instant" else (time.last_day - time.first_day).days + 1


def days_valid(order: MedicationRequest) -> float | None:
    """Return how many days the validity period of its dispense has, None where it has no beginning or no end."""
    period = order.dispenseRequest.validityPeriod if order.dispenseRequest is not None else None
    start = period.begin if period is not None else None
    end = _end(period) if period is not None else None
    return (
        (end - start.instant) / DAY_SECONDS if start is not None and end is not None and end > start.instant else None
    )


def is_new_start(record: PatientRecord, rxcui: str, *, besides: str | None = None) -> bool:
    """Whether no order or statement of the ingredient that was taken falls in the last 180 days.

    An active order counts whenever it was written: it is being taken. `besides` is the source of the draft itself,
    which is no earlier order. An order without a date counts when it is active.
    """
    taken = orders_ever_taken(record, rxcui)
    return not any(order.source != besides and _was_taken(order, record) for order in taken)


def is_recent_start(record: PatientRecord, rxcui: str, days: float) -> bool | None:
    """Whether the ingredient was begun in the last `days`: no order of it that was taken then is older.

    None where an order has no date and none is known to be older. Orders that ended over 180 days ago do not count.
    """
    starts = record.derive(_starts, rxcui)
    if any(start is not None and start.whole_days(record.as_of_epoch) > days for start in starts):
        return False
    return None if None in starts else True


def _starts(record: PatientRecord, rxcui: str) -> tuple[FhirTime | None, ...]:
    """When each order of the ingredient that was taken began, found once: several rules ask, of several periods."""
    return tuple(_started(order) for order in orders_ever_taken(record, rxcui) if _was_taken(order, record))


def _started(order: Order) -> FhirTime | None:
    # When it is to be taken, by each instruction, else by the dispense.
    times = (begun_at(order), *(period.begin for period in _bounds(order) or _validity(order)))
    return min(filter(None, times), key=_instant, default=None)


def orders_ever_taken(record: PatientRecord, rxcui: str) -> list[Order]:
    """Every order, statement and dated supply of the ingredient that means it was taken."""
    orders = record.derive(_by_ingredient).get(rxcui, ())
    return [order for order in orders if type(order) not in _WAS_SUPPLIED or written_at(order) is not None]


def last_order_after(record: PatientRecord, rxcui: str, day: FhirTime) -> FhirTime | None:
    """Return the last time that the ingredient was ordered and taken after that day and before that of the record."""
    yesterday = record.as_of_epoch - DAY_SECONDS
    times = filter(None, map(written_at, orders_ever_taken(record, rxcui)))
    later = [time for time in times if day.instant + DAY_SECONDS <= time.instant <= yesterday]
    return max(later, key=_instant, default=None)


def _by_ingredient(record: PatientRecord) -> dict[str, list[Order]]:
    orders_by_ingredient: dict[str, list[Order]] = {}
    supplies = (supply for kind in _WAS_SUPPLIED for supply in record.facts(kind))
    supplied = (supply for supply in supplies if supply.status in _WAS_SUPPLIED[type(supply)])
    for order in (*record.derive(_ever_ordered), *supplied):
        for rxcui in _product(order, record).rxcuis:
            orders_by_ingredient.setdefault(rxcui, []).append(order)
    return orders_by_ingredient


def _ever_ordered(record: PatientRecord) -> tuple[MedicationRequest | MedicationStatement, ...]:
    """Every order and statement that means that the drug was taken."""
    return tuple([order for order in _stated(record) if order.status in _WAS_TAKEN[type(order)]])


def _was_taken(order: Order, record: PatientRecord) -> bool:
    time = written_at(order)
    return not (time is not None and time.is_after(record.as_of_epoch)) and _is_recent(order, record)


def _is_recent(order: Order, record: PatientRecord) -> bool:
    if order.status == "active" and not _is_over(order, record):
        return True
    as_of_epoch = record.as_of_epoch
    ends = [end for period in _bounds(order) or _validity(order) if (end := _end(period)) is not None]
    time = begun_at(order)
    newest = max([*ends, *([time.instant] if time is not None else [])], default=None)
    if newest is None:
        return False
    # Whole days, as the ages of laboratory values are counted.
    return int((as_of_epoch - min(newest, as_of_epoch)) / DAY_SECONDS) <= NEW_START_DAYS


# Hospitals ask at each visit; what was reported longer ago than the longest usual supply (a fill of 90 days) says
# nothing of today.
_UNKNOWN_DAYS = 90.0
_HELD_DAYS = 365.0


def uncertain_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """Return what was reported or ordered in the last 90 days, or on no known day, with the status unknown.

    What is on the list otherwise is left out.
    """
    return record.derive(_with_status, "unknown", _UNKNOWN_DAYS)


def held_medications(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    """Return what was put on hold in the last year and is not on the list otherwise."""
    return record.derive(_with_status, "on-hold", _HELD_DAYS)


def _with_status(record: PatientRecord, status: str, days: float) -> tuple[ActiveMedication, ...]:
    """Find the newest entry of each drug with this status of the last days, if the drug is not listed otherwise."""
    # A statement that was reported on no known day was it when it began to hold.
    dated = [(written_at(order) or begun_at(order), order) for order in _stated(record) if order.status == status]
    recent = [(time, order) for time, order in dated if time is None or time.is_within(days, record.as_of_epoch)]
    if not recent:
        return ()
    listed = {code for medication in active_medications(record) for code in medication.identity.rxcuis}
    by_drug: dict[tuple[str, ...], ActiveMedication] = {}
    for _, order in sorted(recent, key=lambda pair: pair[0].instant if pair[0] is not None else 0.0, reverse=True):
        entry = _entry(order, record)
        if entry.identity.rxcuis and listed.isdisjoint(entry.identity.rxcuis):
            by_drug.setdefault(entry.identity.rxcuis, entry)
    return tuple(by_drug.values())


State: TypeAlias = Literal["present", "absent", "unreadable", "not-requested"]
_LISTS = ("MedicationRequest", "MedicationStatement", "MedicationDispense", "MedicationAdministration")
_MOST_NAMED = 3
_LONGEST_WORDS = 60


class Presence(Struct, frozen=True):
    """What was found of the drugs that were looked for.

    `state` is `unreadable` where none is on the list, and at least one medication on it could be any drug, or one of
    them stands there of which nobody knows if it is taken (its status is unknown, it was ordered over ten years ago);
    it is `not-requested` where no list of medications came with the call.
    """

    state: State
    medications: tuple[ActiveMedication, ...] = ()
    unreadable: tuple[ActiveMedication, ...] = ()

    @property
    def unreadable_words(self) -> str:
        """The medications that could not be read, in the words of the chart: "Xyzal forte and 2 more"."""
        return words_of_unreadable(self.unreadable)


def presence_of(
    record: PatientRecord, keys: Set[str], *, other_than: Set[str] = frozenset(), systemic: bool = True
) -> Presence:
    """Whether a drug with one of these classes or RxNorm ingredient codes is taken.

    Args:
        record: The patient's facts.
        keys: Names of classes and RxNorm codes of ingredients.
        other_than: RxNorm codes and names of ingredients that do not count, although they are of such a class.
        systemic: Whether only drugs that act on the whole body count.
    """
    active = record.derive(_find_active)
    medications = tuple([listed for listed in active.listed if _is_meant(listed, keys, other_than, systemic)])
    if medications:
        return Presence("present", medications)
    unreadable = unreadable_medications(record, systemic=systemic)
    uncertain = (*uncertain_medications(record), *active.forgotten, *active.used_up)
    unreadable += tuple(medication for medication in uncertain if _is_meant(medication, keys, other_than, systemic))
    if unreadable:
        return Presence("unreadable", unreadable=unreadable)
    return Presence("absent" if any(map(record.was_requested, _LISTS)) else "not-requested")


def unreadable_medications(record: PatientRecord, *, systemic: bool = True) -> tuple[ActiveMedication, ...]:
    """Return the medications on the list that could be any drug: no table knows them, and they are no supply or fluid.

    With `systemic` those are left out whose words say that they act only where they are put ("… eye drops").
    """
    unreadable = record.derive(_find_unreadable)
    if not systemic:
        return unreadable
    return tuple(
        medication
        for medication in unreadable
        if not is_local((), f"{medication.identity.words} {medication.identity.dose_form} {medication.identity.route}")
    )


def unreadable_codes(record: PatientRecord) -> tuple[str, ...]:
    """Give the first code of each medication that no table knows: "system|code", or "text"."""
    return tuple(
        _first_code(medication.order.medicationCodeableConcept) for medication in unreadable_medications(record)
    )


def _first_code(concept: CodeableConcept | None) -> str:
    codings = concept.coding if concept is not None else ()
    return next((f"{coding.system or ''}|{coding.code}" for coding in codings if coding.code), "text")


def words_of_unreadable(medications: tuple[ActiveMedication, ...]) -> str:
    """Return the words of the chart for medications that could not be read, at most three of them."""
    return first_few([*dict.fromkeys(map(_words, medications))], _MOST_NAMED, "; ")


def _is_meant(medication: ActiveMedication, keys: Set[str], other_than: Set[str], systemic: bool) -> bool:
    identity = medication.identity
    if keys.isdisjoint(identity.keys) or (systemic and identity.systemic is False):
        return False
    return not all(part.rxcui in other_than or part.name in other_than for part in identity.ingredients)


def _find_unreadable(record: PatientRecord) -> tuple[ActiveMedication, ...]:
    return tuple(medication for medication in active_medications(record) if is_unreadable(medication.identity))


def is_unreadable(identity: MedicationIdentity) -> bool:
    """Whether a medication could be any drug: no table knows it, and it is no supply, fluid or feed."""
    return not identity.recognised and no_drug_kind(identity.words) is None


def _words(medication: ActiveMedication) -> str:
    reference = medication.order.medicationReference
    address = reference.reference if reference is not None else ""
    words = medication.identity.words.strip()
    if medication.identity.recognised:
        unknown = medication.order.status == "unknown"
        day = medication.authored.date if medication.authored is not None else ""
        return f"{plain(medication.name, _LONGEST_WORDS)}, {'status unknown' if unknown else f'ordered on {day}'}"
    if words in ("", address):
        return f"{medication.source}, {'whose medicine was not sent' if address else 'without a name'}"
    return plain(words, _LONGEST_WORDS)
