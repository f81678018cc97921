"""The drafts of one session beside what the patient takes: each derived once, only when asked, and noted as read."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property, partial
from itertools import islice
from typing import Any, Self, TypeVar

from cards.rules.language.trigger import Selector
from cards.rules.patient.orders import (
    CurrentMedication,
    DraftMedication,
    DraftOrder,
    DraftStudy,
    is_beside,
    is_wanted_study,
    knows_medications,
    medications_by_key,
    open_tests,
    ordered_medication,
    with_other_drafts,
)
from fhir.mapping.medications.active import (
    active_medications,
    ended_medications,
    is_new_start,
    is_recent_start,
    order_end,
)
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.mapping.studies import read_study
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.resources import Medication
from fhir.terminology.medications import Ingredient

# labs.csv: weight of an adult at any age (the card shows the date), of a child within 90 days.
_CHILD_WEIGHT_DAYS = 90
_ADULT_YEARS = 18
# Fluoxetine before an MAO inhibitor (labels of both): 5 weeks.
LONGEST_WASHOUT_DAYS = 35.0
"""No drug acts longer after its end than this."""


_T = TypeVar("_T")

EVERYTHING = ("*",)
"""Stands among what was read of a session for all of its drafts and medications."""
_NOT_DERIVED = object()


class MedicationSession:
    """The drafts of a session as medications and as tests, and what is taken by the record.

    `reads` collects what is asked of the drafts and of what is taken: ingredients, classes, codes of tests, or
    `EVERYTHING`. An answer that read nothing of what other drafts change is the same beside them
    (`RuleBook.first_new`). What is asked of the record alone is not collected, as no draft changes it.
    """

    def __init__(
        self, record: PatientRecord, drafts: Iterable[DraftOrder], *, signing: bool = False, active_orders: bool = False
    ) -> None:
        self.record = record
        self.signing = signing
        self.active_orders = active_orders
        self.reads: list[Collection[str]] = []
        self._drafts = tuple(drafts)
        self._base: MedicationSession | None = None
        # What families derive once of this patient with these drafts.
        self._derived: dict[object, Any] = {}
        self._all_derived = [self._derived]
        self._on_record: tuple[CurrentMedication, ...] | None = None
        self._found_active: tuple[CurrentMedication, ...] | None = None
        self._found_ended: tuple[CurrentMedication, ...] | None = None
        self._record_by_key: dict[str, list[CurrentMedication]] | None = None
        self._new_start: dict[tuple[str, str], bool] = {}
        self._selected: dict[int, list[CurrentMedication]] = {}
        self._recent: dict[tuple[tuple[str, ...], float], bool | None] = {}

    def with_drafts(self, drafts: Iterable[DraftOrder]) -> Self:
        """The same patient with other drafts; what is known of the patient is kept."""
        other = type(self)(self.record, drafts, signing=self.signing, active_orders=self.active_orders)
        other._all_derived = self._all_derived
        other._all_derived.append(other._derived)
        other._recent = self._recent
        # What is drafted still is what it was; a Medication among the drafts may be another one.
        if self.medications.keys() == other.medications.keys():
            other._base = self
        other._found_ended = self._found_ended
        # The same objects in both: by them it is seen what is taken in both (`changed`).
        other._on_record, other._record_by_key = self._active_on_record, self._record_by_key
        return other

    @cached_property
    def changed(self) -> frozenset[str] | None:
        """What differs from the session that this one was made of: ingredients, classes and tests, as in `reads`.

        None where that cannot be said, and for a session that was not made of another.
        """
        base = self._base
        if base is None:
            return None
        changed: set[str] = set()
        for some, others in ((base, self), (self, base)):
            kept = set(map(id, others._drafts))
            drafts = [one for one in some._drafts if id(one) not in kept]
            if drafts:
                changed.update(EVERYTHING, open_tests(one.read for one in drafts))
                changed.update(*(one.medication.keys for one in some._drafted if id(one.draft) not in kept))
            if base._active is not self._active:
                on_both = set(map(id, others._active))
                changed.update(*(one.medication.keys for one in some._active if id(one) not in on_both))
        return frozenset(changed)

    # Medications

    @cached_property
    def knows_medications(self) -> bool:
        """Whether a list of medications came with the call."""
        return knows_medications(self.record)

    def release(self) -> None:
        """Forgets what families derived, here and with other drafts, when nothing more is asked.

        It holds the session in turn, and such a circle would leave the chart to the garbage collector.
        """
        for derived in self._all_derived:
            derived.clear()

    def derive(self, key: object, compute: Callable[[], _T]) -> _T:
        """What `compute` finds, worked out once for this session under the key; what it read counts each time."""
        known = self._derived.get(key, _NOT_DERIVED)
        if known is _NOT_DERIVED:
            outer, self.reads = self.reads, []
            known = self._derived[key] = (compute(), self.reads)
            self.reads = outer
        found: _T
        found, read = known
        self.reads += read
        return found

    @property
    def drafts(self) -> tuple[DraftOrder, ...]:
        """Everything that is drafted."""
        self.reads.append(EVERYTHING)
        return self._drafts

    @cached_property
    def medications(self) -> dict[str, Medication]:
        """Medication resources by every name that a reference can use: of the record and of the drafts."""
        found = dict(self.record.medications)
        for draft in self._drafts:
            if isinstance(draft.read, Medication):
                for name in (draft.reference, draft.full_url, draft.read.id):
                    if name:
                        found[name] = draft.read
        return found

    @property
    def drafted(self) -> tuple[DraftMedication, ...]:
        """The drafts that are medications to be given, as orders of them or as services (vaccinations)."""
        self.reads.append(EVERYTHING)
        return self._drafted

    @cached_property
    def _drafted(self) -> tuple[DraftMedication, ...]:
        each = (self._draft_medications[id(draft)] for draft in self._drafts)
        return tuple(one for one in each if one is not None)

    @cached_property
    def _draft_medications(self) -> dict[int, DraftMedication | None]:
        """What each draft orders to be given, None for any other; by the id of the draft."""
        found = dict(self._base._draft_medications) if self._base is not None else {}
        # Weighed by the record and not by this session, which holds them: the collector would have to take the circle.
        weigh = partial(newest_weight, self.record)
        for draft in self._drafts:
            if id(draft) not in found:
                order = ordered_medication(draft)
                medication = DraftMedication(draft, order, self.medications, weigh) if order is not None else None
                found[id(draft)] = medication
        return found

    @property
    def studies(self) -> tuple[DraftStudy, ...]:
        """The drafts that order a study or test that rules can be about."""
        self.reads.append(EVERYTHING)
        return self._studies

    @cached_property
    def _studies(self) -> tuple[DraftStudy, ...]:
        read = ((draft, read_study(draft.resource)) for draft in self._drafts if is_wanted_study(draft))
        return tuple(DraftStudy(draft, study) for draft, study in read if study.groups)

    @property
    def active(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on."""
        self.reads.append(EVERYTHING)
        return self._active

    @property
    def _active(self) -> tuple[CurrentMedication, ...]:
        if self._found_active is None:
            self._found_active = self._find_active()
        return self._found_active

    def _find_active(self) -> tuple[CurrentMedication, ...]:
        # A draft with the id of an active order is that order as it shall be: changed, or stopped.
        again = {draft.reference for draft in self._drafts if draft.order is not None}
        on_record = self._active_on_record
        found = tuple([one for one in on_record if not (one.source in again and self._is_drafted_again(one))])
        return on_record if len(found) == len(on_record) else found

    @property
    def _active_on_record(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on by the record, whatever is drafted."""
        if self._on_record is None:
            self._on_record = tuple([CurrentMedication.of_record(one) for one in active_medications(self.record)])
        return self._on_record

    def _is_drafted_again(self, taken: CurrentMedication) -> bool:
        """Whether a draft carries its id and its drug: an id alone is used twice by some clients."""
        draft = self._drafts_by_reference.get(taken.source)
        if draft is None or draft.order is None:
            return False
        again = identify(draft.order, self.medications)
        return not again.recognised or bool({*again.rxcuis} & {*taken.medication.rxcuis})

    @cached_property
    def _drafts_by_reference(self) -> dict[str | None, DraftOrder]:
        """The first medication order of each reference."""
        return {draft.reference: draft for draft in reversed(self._drafts) if draft.order is not None}

    @property
    def _ended(self) -> tuple[CurrentMedication, ...]:
        """What ended so lately that it may still act."""
        if self._found_ended is None:
            self._found_ended = tuple(
                CurrentMedication.of_record(one) for one in ended_medications(self.record, LONGEST_WASHOUT_DAYS)
            )
        return self._found_ended

    @cached_property
    def _taken(self) -> Mapping[str, list[CurrentMedication]]:
        """What is active and what is drafted, by each of its ingredients (RxNorm codes) and classes (names)."""
        # What the record says is the same whatever is drafted; it is put together once for all sessions of a call.
        if self._record_by_key is None:
            self._record_by_key = medications_by_key(self._active_on_record)
        active = {id(one) for one in self._active}
        ended = [one for one in self._active_on_record if id(one) not in active]
        return with_other_drafts(self._record_by_key, ended, self._as_taken.values())

    @cached_property
    def _as_taken(self) -> dict[int, CurrentMedication]:
        """What is drafted as something that is taken, by the id of its draft."""
        known = self._base._as_taken if self._base is not None else {}
        return {id(one.draft): known.get(id(one.draft)) or CurrentMedication.of_draft(one) for one in self._drafted}

    def medications_beside(
        self, drafted: DraftMedication, keys: Iterable[str], most: int | None = None
    ) -> list[CurrentMedication]:
        """What has one of these ingredients or classes and is active or in another draft; at most so many of them.

        Neither the draft itself nor the order that it renews.
        """
        keys = tuple(keys)
        self.reads.append(keys)
        taken = self._taken
        lists = [found for key in keys if (found := taken.get(key))]
        each = lists[0] if len(lists) == 1 else _each_once(lists)
        if most is None or len(each) <= most:
            return [one for one in each if is_beside(one, drafted)]
        return list(islice((one for one in each if is_beside(one, drafted)), most))

    def selected(self, selector: Selector) -> list[CurrentMedication]:
        """What the selector means and is active or drafted, found once for all drafts."""
        self.reads.append(selector.keyed)
        known = self._selected.get(selector.number)
        if known is None:
            known = self._selected[selector.number] = self._select(selector)
        return known

    def _select(self, selector: Selector) -> list[CurrentMedication]:
        known = self._base._selected.get(selector.number) if self._base is not None else None
        if known is not None and self.changed is not None and selector.keyed.isdisjoint(self.changed):
            return known
        if selector.keyed.isdisjoint(self._taken_keys):
            return []
        found = {id(one): one for key in selector.keys for one in self._taken.get(key, ())}
        return [one for one in found.values() if selector.matches(one.medication)]

    def days_left(self, taken: CurrentMedication) -> float:
        """Days that what is taken still goes on by its own end or its supply; infinite where neither is known."""
        dose = taken.dose
        if taken.drafted is not None:
            return 1.0 if dose.single else dose.duration_days if dose.duration_days is not None else float("inf")
        end = order_end(taken.order)
        if end is None and taken.since and dose.duration_days is not None:
            started = parse_time(taken.since)
            end = started.instant + dose.duration_days * DAY_SECONDS if started is not None else None
        return (end - self.record.as_of_epoch) / DAY_SECONDS if end is not None else float("inf")

    @cached_property
    def _taken_keys(self) -> frozenset[str]:
        """Every ingredient and class that is active or drafted."""
        return frozenset(self._taken)

    def has_any(self, keys: frozenset[str]) -> bool:
        """Whether something of these ingredients or classes is active or drafted."""
        self.reads.append(keys)
        return not keys.isdisjoint(self._taken_keys)

    def partners_of(self, drafted: DraftMedication, selectors: Iterable[Selector]) -> list[CurrentMedication]:
        """What one of the selectors means and is active, in another draft, or ended within its washout.

        Each drug once as active, once as draft, once as ended; never the drug that is drafted.
        """
        found: dict[tuple[object, ...], CurrentMedication] = {}
        own = frozenset(drafted.medication.rxcuis)
        for selector in selectors:
            for one in self.selected(selector):
                key = (one.medication.rxcuis, one.drafted is not None)
                if key not in found and is_beside(one, drafted) and not own.issuperset(_codes(selector, one)):
                    found[key] = one
            if selector.washout_days:
                for one in self._ended:
                    key = (one.medication.rxcuis, False)
                    if key in found:
                        continue
                    if self._acts_still(one, selector) and not own.issuperset(_codes(selector, one)):
                        found[key] = one
        return list(found.values())

    def _acts_still(self, one: CurrentMedication, selector: Selector) -> bool:
        days = one.ended.age_days(self.record.as_of_epoch) if one.ended is not None else None
        return days is not None and days <= selector.washout_days and selector.matches(one.medication)

    def is_recent_start(self, medication: MedicationIdentity, days: float) -> bool | None:
        """Whether an ingredient of the medication was begun in the last `days`."""
        key = (medication.rxcuis, days)
        if key not in self._recent:
            answers = [is_recent_start(self.record, rxcui, days) for rxcui in medication.rxcuis]
            self._recent[key] = True if True in answers else None if None in answers else False
        return self._recent[key]

    def is_new_start(self, ingredient: Ingredient, drafted: DraftMedication) -> bool:
        """Whether the patient had no order of the ingredient in the last 180 days."""
        key = (ingredient.rxcui, drafted.draft.name)
        known = self._new_start.get(key)
        if known is None:
            # A draft that renews another is no start, whether or not the other one came along.
            known = drafted.order.priorPrescription is None and is_new_start(self.record, ingredient.rxcui)
            self._new_start[key] = known
        return known

    # Tests

    def is_ordered(self, codes: frozenset[str], where: str) -> bool:
        """Whether a test of these codes is among the drafts or, with "any", the active orders of the record."""
        self.reads.append(codes)
        return not codes.isdisjoint(self._drafted_tests) or (
            where != "draft" and not codes.isdisjoint(self._active_tests)
        )

    @cached_property
    def _drafted_tests(self) -> frozenset[str]:
        return open_tests(draft.read for draft in self._drafts)

    @cached_property
    def _active_tests(self) -> frozenset[str]:
        return open_tests(self.record.service_requests)


def _codes(selector: Selector, one: CurrentMedication) -> frozenset[str]:
    return frozenset(part.rxcui for part in selector.members(one.medication))


def newest_weight(record: PatientRecord) -> Measurement | None:
    """The newest weight; a child's only of the last 90 days."""
    age = record.age_years()
    is_child = age is not None and age < _ADULT_YEARS
    return record.newest("body_weight", _CHILD_WEIGHT_DAYS if is_child else None)


def _each_once(lists: Iterable[list[CurrentMedication]]) -> list[CurrentMedication]:
    return list({id(one): one for found in lists for one in found}.values())
