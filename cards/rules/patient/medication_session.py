"""The drafts of one session beside what the patient takes: each derived once, and only when it is asked for."""

from collections.abc import Callable, Iterable
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
    open_tests,
    ordered_medication,
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

EVERYTHING = "*"
"""Stands for all drafts and medications among what a rule looks for beside a draft."""
_NOT_DERIVED = object()


class MedicationSession:
    """The drafts of a session as medications and as tests, and what is taken by the record."""

    def __init__(
        self,
        record: PatientRecord,
        drafts: Iterable[DraftOrder],
        *,
        signing: bool = False,
        active_orders: bool = False,
        base: "Self | None" = None,
    ) -> None:
        """`base` is the session of the same patient that this one was made of."""
        self.record = record
        self.signing = signing
        self.active_orders = active_orders
        self.drafts = tuple(drafts)
        self._base = base
        # What families derive once of this patient with these drafts.
        self._derived: dict[object, Any] = {}
        self._selected: dict[Selector, list[CurrentMedication]] = {}

    def with_drafts(self, drafts: Iterable[DraftOrder]) -> Self:
        """The same patient with other drafts; what is known of the patient is kept."""
        return type(self)(self.record, drafts, signing=self.signing, active_orders=self.active_orders, base=self)

    def changes_beside(self, drafted: DraftMedication) -> frozenset[str] | None:
        """What differs beside the draft from the session that this one was made of: ingredients, classes and tests.

        None where that cannot be said: the session was made of no other, or the draft is not one of that session.
        """
        if self._base is None or drafted not in self._base.drafted:
            return None
        return self._changed

    @cached_property
    def _changed(self) -> frozenset[str]:
        changed: set[str] = set()
        for some, others in ((self._base, self), (self, self._base)):
            if some is None or others is None:
                continue
            kept = set(map(id, others.drafts))
            drafts = [one for one in some.drafts if id(one) not in kept]
            if drafts:
                changed.update((EVERYTHING,), open_tests(one.read for one in drafts))
                changed.update(*(one.medication.keys for one in some.drafted if id(one.draft) not in kept))
            on_both = set(map(id, others.active))
            changed.update(*(one.medication.keys for one in some.active if id(one) not in on_both))
        return frozenset(changed)

    # Medications

    @cached_property
    def knows_medications(self) -> bool:
        """Whether a list of medications came with the call."""
        return knows_medications(self.record)

    def derive(self, key: object, compute: Callable[[], _T]) -> _T:
        """What `compute` finds, worked out once for this session under the key."""
        known: Any = self._derived.get(key, _NOT_DERIVED)
        if known is _NOT_DERIVED:
            known = self._derived[key] = compute()
        found: _T = known
        return found

    @cached_property
    def medications(self) -> dict[str, Medication]:
        """Medication resources by every name that a reference can use: of the record and of the drafts."""
        found = dict(self.record.medications)
        for draft in self.drafts:
            if isinstance(draft.read, Medication):
                for name in (draft.reference, draft.full_url, draft.read.id):
                    if name:
                        found[name] = draft.read
        return found

    @cached_property
    def drafted(self) -> tuple[DraftMedication, ...]:
        """The drafts that are medications to be given, as orders of them or as services (vaccinations)."""
        # What is drafted still is what it was; a Medication among the drafts may be another one.
        same = self._base is not None and self._base.medications.keys() == self.medications.keys()
        known = {id(one.draft): one for one in self._base.drafted} if self._base is not None and same else {}
        read = (known.get(id(draft)) or self._read_medication(draft) for draft in self.drafts)
        return tuple([one for one in read if one is not None])

    def _read_medication(self, draft: DraftOrder) -> DraftMedication | None:
        order = ordered_medication(draft)
        # Weighed by the record and not by this session, which holds it: the collector would have to take the circle.
        weigh = partial(newest_weight, self.record)
        return DraftMedication(draft, order, self.medications, weigh) if order is not None else None

    @cached_property
    def studies(self) -> tuple[DraftStudy, ...]:
        """The drafts that order a study or test that rules can be about."""
        read = ((draft, read_study(draft.resource)) for draft in self.drafts if is_wanted_study(draft))
        return tuple(DraftStudy(draft, study) for draft, study in read if study.groups)

    @cached_property
    def active(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on."""
        # A draft with the id of an active order is that order as it shall be: changed, or stopped.
        again = {draft.reference for draft in self.drafts if draft.order is not None}
        listed = self._active_on_record
        return tuple([one for one in listed if not (one.source in again and self._is_drafted_again(one))])

    @cached_property
    def _active_on_record(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on by the record, whatever is drafted: the same objects in all sessions of a call."""
        if self._base is not None:
            return self._base._active_on_record
        return tuple([CurrentMedication.of_record(one) for one in active_medications(self.record)])

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
        return {draft.reference: draft for draft in reversed(self.drafts) if draft.order is not None}

    @cached_property
    def _ended(self) -> tuple[CurrentMedication, ...]:
        """What ended so lately that it may still act."""
        ended = ended_medications(self.record, LONGEST_WASHOUT_DAYS)
        return tuple([CurrentMedication.of_record(one) for one in ended])

    @cached_property
    def _taken(self) -> dict[str, list[CurrentMedication]]:
        """What is active and what is drafted, by each of its ingredients (RxNorm codes) and classes (names)."""
        by_key: dict[str, list[CurrentMedication]] = {}
        for one in (*self.active, *self._as_taken.values()):
            for key in one.medication.keys:
                by_key.setdefault(key, []).append(one)
        return by_key

    @cached_property
    def _as_taken(self) -> dict[int, CurrentMedication]:
        """What is drafted as something that is taken, by the id of its draft."""
        known = self._base._as_taken if self._base is not None else {}
        return {id(one.draft): known.get(id(one.draft)) or CurrentMedication.of_draft(one) for one in self.drafted}

    def medications_beside(
        self, drafted: DraftMedication, keys: Iterable[str], most: int | None = None
    ) -> list[CurrentMedication]:
        """What has one of these ingredients or classes and is active or in another draft; at most so many of them.

        Neither the draft itself nor the order that it renews.
        """
        keys = tuple(keys)
        taken = self._taken
        lists = [found for key in keys if (found := taken.get(key))]
        each = lists[0] if len(lists) == 1 else _each_once(lists)
        if most is None or len(each) <= most:
            return [one for one in each if is_beside(one, drafted)]
        return list(islice((one for one in each if is_beside(one, drafted)), most))

    def selected(self, selector: Selector) -> list[CurrentMedication]:
        """What the selector means and is active or drafted, found once for all drafts."""
        selected = self._selected.get(selector)
        if selected is None:
            selected = self._selected[selector] = self._select(selector)
        return selected

    def _select(self, selector: Selector) -> list[CurrentMedication]:
        taken = self._taken
        if selector.keyed.isdisjoint(taken):
            return []
        named = {id(one): one for key in selector.keys for one in taken.get(key, ())}
        return [one for one in named.values() if selector.matches(one.medication)]

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
        answers = [is_recent_start(self.record, rxcui, days) for rxcui in medication.rxcuis]
        return True if True in answers else None if None in answers else False

    def is_new_start(self, ingredient: Ingredient, drafted: DraftMedication) -> bool:
        """Whether the patient had no order of the ingredient in the last 180 days."""
        # A draft that renews another is no start, whether or not the other one came along.
        return drafted.order.priorPrescription is None and is_new_start(self.record, ingredient.rxcui)

    # Tests

    def is_ordered(self, codes: frozenset[str], where: str) -> bool:
        """Whether a test of these codes is among the drafts or, with "any", the active orders of the record."""
        return not codes.isdisjoint(self._drafted_tests) or (
            where != "draft" and not codes.isdisjoint(self._active_tests)
        )

    @cached_property
    def _drafted_tests(self) -> frozenset[str]:
        return open_tests(draft.read for draft in self.drafts)

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
