"""One patient and the drafts of one session: what all rules share, each derived once and only when asked."""

from collections.abc import Iterable, Mapping
from functools import cached_property, partial
from itertools import islice

from cards.rules.language.trigger import Selector
from cards.rules.patient import measurements
from cards.rules.patient.orders import (
    CurrentMedication,
    DraftMedication,
    DraftOrder,
    DraftStudy,
    is_beside,
    is_wanted_study,
    medications_by_key,
    open_tests,
    ordered_medication,
    with_other_drafts,
)
from fhir.mapping.allergies import allergies, allergy_to_class, allergy_to_ingredient
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.kidney import KidneyEstimate, KidneyFunction, crcl_cockcroft_gault, egfr_best
from fhir.mapping.medications.active import (
    active_medications,
    ended_medications,
    is_new_start,
    is_recent_start,
    order_end,
)
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.mapping.pregnancy import Gestation, gestation, negative_test_since
from fhir.mapping.pregnancy_signs import PregnancySign
from fhir.mapping.stays import is_inpatient
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


class PatientSession:
    """The record, and the drafts of the session as medications and as tests."""

    def __init__(
        self, record: PatientRecord, drafts: Iterable[DraftOrder], *, signing: bool = False, active_orders: bool = False
    ) -> None:
        self.record = record
        self.signing = signing
        self.active_orders = active_orders
        self.drafts = tuple(drafts)
        # What families derive once of this patient with these drafts.
        self.derived: dict[object, object] = {}
        self._all_derived = [self.derived]
        self._on_record: tuple[CurrentMedication, ...] | None = None
        self._found_active: tuple[CurrentMedication, ...] | None = None
        self._found_ended: tuple[CurrentMedication, ...] | None = None
        self._record_by_key: dict[str, list[CurrentMedication]] | None = None
        self._kidney: dict[str, KidneyFunction] = {}
        self._new_start: dict[tuple[str, str], bool] = {}
        self._known: dict[int, DraftMedication] = {}
        self._selected: dict[int, list[CurrentMedication]] = {}
        self._conditions: dict[str, ConditionHit | None] = {}
        self._labs: dict[tuple[str, float | None], list[Measurement]] = {}
        self._recent: dict[tuple[tuple[str, ...], float], bool | None] = {}

    def with_drafts(self, drafts: Iterable[DraftOrder]) -> "PatientSession":
        """The same patient with other drafts; what is known of the patient is kept."""
        other = PatientSession(self.record, drafts, signing=self.signing, active_orders=self.active_orders)
        other._all_derived = self._all_derived
        other._all_derived.append(other.derived)
        other._kidney = self._kidney
        other._conditions, other._labs, other._recent = self._conditions, self._labs, self._recent
        # What is drafted still is what it was; a Medication among the drafts may be another one.
        if self.medications.keys() == other.medications.keys():
            other._known = {id(one.draft): one for one in self.drafted}
        other._found_ended = self._found_ended
        other._on_record, other._record_by_key = self._on_record, self._record_by_key
        if {one.reference for one in self.drafts} == {one.reference for one in other.drafts}:
            other._found_active = self._found_active
        return other

    # Medications

    def release(self) -> None:
        """Forgets what families derived, here and with other drafts, when nothing more is asked.

        It holds the session in turn, and such a circle would leave the chart to the garbage collector.
        """
        for derived in self._all_derived:
            derived.clear()

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
        # Weighed by the record and not by this session, which holds them: the collector would have to take the circle.
        weigh = partial(_newest_weight, self.record)
        return tuple(
            self._known.get(id(draft)) or DraftMedication(draft, order, self.medications, weigh)
            for draft in self.drafts
            if (order := ordered_medication(draft)) is not None
        )

    @cached_property
    def studies(self) -> tuple[DraftStudy, ...]:
        """The drafts that order a study or test that rules can be about."""
        read = ((draft, read_study(draft.resource)) for draft in self.drafts if is_wanted_study(draft))
        return tuple(DraftStudy(draft, study) for draft, study in read if study.groups)

    @property
    def active(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on."""
        if self._found_active is None:
            self._found_active = self._find_active()
        return self._found_active

    def _find_active(self) -> tuple[CurrentMedication, ...]:
        # A draft with the id of an active order is that order as it shall be: changed, or stopped.
        again = {draft.reference for draft in self.drafts if draft.order is not None}
        return tuple(one for one in self._active_on_record if not (one.source in again and self._is_drafted_again(one)))

    @property
    def _active_on_record(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on by the record, whatever is drafted."""
        if self._on_record is None:
            self._on_record = tuple(CurrentMedication.of_record(one) for one in active_medications(self.record))
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
        return {draft.reference: draft for draft in reversed(self.drafts) if draft.order is not None}

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
        active = {id(one) for one in self.active}
        ended = [one for one in self._active_on_record if id(one) not in active]
        return with_other_drafts(self._record_by_key, ended, self.drafted)

    def medications_beside(
        self, drafted: DraftMedication, keys: Iterable[str], most: int | None = None
    ) -> list[CurrentMedication]:
        """What has one of these ingredients or classes and is active or in another draft; at most so many of them.

        Neither the draft itself nor the order that it renews.
        """
        lists = [found for key in keys if (found := self._taken.get(key))]
        each = lists[0] if len(lists) == 1 else _each_once(lists)
        return list(islice((one for one in each if is_beside(one, drafted)), most))

    def selected(self, selector: Selector) -> list[CurrentMedication]:
        """What the selector means and is active or drafted, found once for all drafts."""
        known = self._selected.get(selector.number)
        if known is None:
            known = self._selected[selector.number] = self._select(selector)
        return known

    def _select(self, selector: Selector) -> list[CurrentMedication]:
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

    # The patient

    @property
    def patient_reference(self) -> str:
        """The Patient resource."""
        return f"Patient/{self.record.patient_id}"

    def condition(self, key: str) -> ConditionHit | None:
        """The newest condition that means the key."""
        if key not in self._conditions:
            self._conditions[key] = find_condition(self.record, key)
        return self._conditions[key]

    def is_allergic_to_ingredient(self, rxcui: str) -> bool:
        """Whether an allergy or intolerance to the ingredient is on the list."""
        return allergy_to_ingredient(self.record, rxcui) is not None

    def is_allergic_to_class(self, name: str) -> bool:
        """Whether an allergy or intolerance to the class or to a member of it is on the list."""
        return allergy_to_class(self.record, name) is not None

    def is_allergic_to(self, medication: MedicationIdentity) -> bool:
        """Whether an allergy or intolerance to an ingredient of the medication or a class of it is on the list."""
        return any(
            one.allergen.classes & medication.classes
            or any(medication.has(ingredient.rxcui) for ingredient in one.allergen.ingredients)
            for one in allergies(self.record)
        )

    @cached_property
    def gestation(self) -> Gestation | None:
        """How far a pregnancy is that is going on."""
        hit = self.condition("pregnancy")
        if hit is None:
            return None
        return gestation(self.record, hit.time if hit.is_onset else None, hit.source)

    @cached_property
    def pregnancy_doubt(self) -> PregnancySign | None:
        """A negative test that came after the pregnancy was charted."""
        hit = self.condition("pregnancy")
        return negative_test_since(self.record, hit.time) if hit is not None else None

    @cached_property
    def age_years(self) -> int | None:
        """Completed years."""
        return self.record.age_years()

    @cached_property
    def weight(self) -> Measurement | None:
        """The newest weight; a child's only of the last 90 days."""
        return _newest_weight(self.record)

    def lab(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """The newest usable value within so many days; of two with one timestamp the higher one."""
        # CLARIFICATIONS: two values with one timestamp count as the worse for the drug.
        return max(self._together(analyte, max_age_days), key=_value, default=None)

    def lowest(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """The same where the lower one of two with one timestamp is the worse."""
        return min(self._together(analyte, max_age_days), key=_value, default=None)

    def _together(self, analyte: str, max_age_days: float | None) -> list[Measurement]:
        key = (analyte, max_age_days)
        known = self._labs.get(key)
        if known is None:
            known = self._labs[key] = self.record.newest_together(analyte, max_age_days)
        return known

    # Kidney

    def kidney(self, name: str) -> KidneyFunction:
        """An estimate of kidney function (a name of ESTIMATES), or why there is none."""
        known = self._kidney.get(name)
        if known is None:
            known = self._kidney[name] = self._derive(name)
        return known

    def _derive(self, name: str) -> KidneyFunction:
        if name == "egfr_best":
            return egfr_best(self.record)
        return crcl_cockcroft_gault(self.record, "actual" if name == "crcl_actual_weight" else "adjusted")

    @cached_property
    def unstable_notes(self) -> tuple[str, ...]:
        """What to say when creatinine is changing or the kidneys are acutely injured."""
        egfr = self.kidney("egfr_best")
        known = egfr if isinstance(egfr, KidneyEstimate) else egfr.old
        if known is None or not known.unstable:
            return ()
        return (measurements.unstable_note(self.record.measurements("creatinine")),)

    @property
    def kidney_window(self) -> str:
        """How far back kidney function is looked for."""
        return "30 days" if is_inpatient(self.record) else "12 months"

    def why_no_kidney_function(self, name: str) -> tuple[str, str]:
        """The reason code and the sentence for a missing estimate."""
        found = self.kidney(name)
        if isinstance(found, KidneyEstimate):
            return "kidney-function-stale", "kidney function is too old."
        code = {"under-18": "under-18", "stale": "kidney-function-stale"}.get(found.reason, "kidney-function-missing")
        return code, found.text

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


def _value(measurement: Measurement) -> float:
    return measurement.value


def _newest_weight(record: PatientRecord) -> Measurement | None:
    age = record.age_years()
    is_child = age is not None and age < _ADULT_YEARS
    return record.newest("body_weight", _CHILD_WEIGHT_DAYS if is_child else None)


def _each_once(lists: Iterable[list[CurrentMedication]]) -> Iterable[CurrentMedication]:
    return {id(one): one for found in lists for one in found}.values()
