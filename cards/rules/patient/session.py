"""One patient and the drafts of one session: what all rules share, each derived once and only when asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property, partial
from itertools import islice
from math import inf
from typing import Any, Final, Self, TypeVar

from cards.rules.language.trigger import Selector
from cards.rules.patient import measurements
from cards.rules.patient.orders import (
    CurrentMedication,
    DraftMedication,
    DraftOrder,
    DraftStudy,
    is_beside,
    is_to_be_ended,
    is_wanted_study,
    knows_medications,
    ordered_medication,
    tests_of,
)
from fhir.mapping.allergies import (
    Allergy,
    allergies,
    allergies_by_ingredient,
)
from fhir.mapping.conditions import ConditionHit, charted_groups, find_condition
from fhir.mapping.declined import is_open_order
from fhir.mapping.gestation import Gestation, gestation
from fhir.mapping.kidney import KidneyEstimate, KidneyFunction, crcl_cockcroft_gault, egfr_best
from fhir.mapping.medications.active import (
    active_medications,
    end_of_order,
    ended_medications,
    forgotten_orders,
    is_new_start,
    is_recent_start,
    uncertain_medications,
)
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.mapping.pregnancy import PregnancySign, negative_test_since
from fhir.mapping.shown_by_results import shown_by_result
from fhir.mapping.stays import is_inpatient
from fhir.mapping.studies import read_study
from fhir.mapping.tobacco import smoking_history
from fhir.mapping.weights import judged_weight
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.resources import Medication, MedicationRequest, ServiceRequest
from fhir.terminology.medications import Ingredient

# Fluoxetine before an MAO inhibitor (labels of both): 5 weeks.
LONGEST_WASHOUT_DAYS = 35.0
"""No drug acts longer after its end than this."""
_ADULT_YEARS: Final = 18


_T = TypeVar("_T")


class _OfPatient:
    """What is known of the patient whatever is drafted: each fact once for a record."""

    def __init__(self, record: PatientRecord) -> None:
        self.conditions: dict[str, ConditionHit | None] = {}
        self.results_shown: dict[str, Measurement] = {}
        self.charted_groups = charted_groups(record)
        # An order counts as active however old it is: beside a draft it is better asked about than left out.
        listed = (*active_medications(record), *forgotten_orders(record))
        self.active = tuple([CurrentMedication.of_record(medication) for medication in listed])
        """What the patient is on by the record."""
        uncertain = uncertain_medications(record)
        self.uncertain = tuple([CurrentMedication.of_uncertain(medication) for medication in uncertain])
        """What may be taken: the chart does not say. Only rules about a pair meet it, and say so."""


def _ended_lately(record: PatientRecord) -> tuple[CurrentMedication, ...]:
    """Return what ended so lately that it may still act; few rules ask for it."""
    ended = ended_medications(record, LONGEST_WASHOUT_DAYS)
    return tuple([CurrentMedication.of_record(medication) for medication in ended])


class PatientSession:
    """The record of one patient, and the drafts of a session as medications and as tests."""

    def __init__(
        self,
        record: PatientRecord,
        drafts: Iterable[DraftOrder],
        *,
        signing: bool = False,
        active_orders: bool = False,
        drafted_before: Iterable[DraftMedication] = (),
    ) -> None:
        """`drafted_before` are drafts as another session of this record with the same Medications read them."""
        self.record = record
        self.signing = signing
        self.active_orders = active_orders
        self._begun_now = False
        self.drafts = tuple(drafts)
        self._drafted_before = {id(drafted.draft): drafted for drafted in drafted_before}
        # What families derive once of this patient with these drafts.
        self._derived: dict[object, Any] = {}
        self._selected: dict[Selector, list[CurrentMedication]] = {}
        self._grouped: dict[Selector, dict[tuple[tuple[str, ...], bool], list[CurrentMedication]]] = {}
        patient = record.derive(_OfPatient)
        self._of_patient = patient
        self.conditions, self.results_shown = patient.conditions, patient.results_shown
        self.charted_groups = patient.charted_groups
        self.age_years = record.age_years()
        # Whether the problem list and the allergy list were asked for.
        self.knows_conditions = record.was_requested("Condition")
        self.knows_allergies = record.was_requested("AllergyIntolerance")

    def with_drafts(self, drafts: Iterable[DraftOrder]) -> Self:
        """Return the same patient with other drafts; what is known of the patient is kept."""
        drafts = tuple(drafts)
        has_medications = Medication in [type(draft.read) for draft in (*self.drafts, *drafts)]
        return type(self)(
            self.record,
            drafts,
            signing=self.signing,
            active_orders=self.active_orders,
            drafted_before=() if has_medications else self.drafted,
        )

    def begun_now(self) -> Self:
        """Return the same, of which every draft counts as a new start."""
        session = type(self)(
            self.record,
            self.drafts,
            signing=self.signing,
            active_orders=self.active_orders,
            drafted_before=self.drafted,
        )
        session._begun_now = True
        return session

    # Medications

    @cached_property
    def knows_medications(self) -> bool:
        """Whether a list of medications came with the call."""
        return knows_medications(self.record)

    def derive(self, key: object, compute: Callable[[], _T]) -> _T:
        """Return what `compute` finds, worked out once for this session under the key."""
        if key not in self._derived:
            self._derived[key] = compute()
        result: _T = self._derived[key]
        return result

    @cached_property
    def medications(self) -> dict[str, Medication]:
        """Medication resources by every name that a reference can use: of the record and of the drafts."""
        by_name = dict(self.record.medications)
        for draft in self.drafts:
            if isinstance(draft.read, Medication):
                for name in (draft.reference, draft.full_url, draft.read.id):
                    if name:
                        by_name[name] = draft.read
        return by_name

    @cached_property
    def drafted(self) -> tuple[DraftMedication, ...]:
        """The drafts that are medications to be given, as orders of them or as services (vaccinations)."""
        read = map(self._read_medication, self.drafts)
        return tuple([drafted for drafted in read if drafted is not None])

    def _read_medication(self, draft: DraftOrder) -> DraftMedication | None:
        if (before := self._drafted_before.get(id(draft))) is not None:
            return before
        order = ordered_medication(draft)
        # Weighed by the record and not by this session, which holds it: the collector would have to take the circle.
        weigh = partial(newest_weight, self.record)
        return DraftMedication(draft, order, self.medications, weigh) if order is not None else None

    @cached_property
    def stopped(self) -> tuple[DraftMedication, ...]:
        """The drafts that end a drug which the patient takes, or took until then, and no other order goes on with."""
        ending = [
            DraftMedication(draft, draft.order, self.medications)
            for draft in self.drafts
            if draft.order is not None and is_to_be_ended(draft.order)
        ]
        return tuple(filter(self._ends_drug, ending))

    def _ends_drug(self, drafted: DraftMedication) -> bool:
        codes = frozenset(drafted.medication.rxcuis)
        taken = self._listed(codes)
        named = {drafted.draft.reference, drafted.renews} & {medication.source for medication in taken}
        others = [medication for medication in taken if medication in self.active and medication.source not in named]
        goes_on = bool(named) and any(medication.source.startswith("MedicationRequest/") for medication in others)
        drafted_on = any(codes & {*other.medication.rxcuis} for other in self.drafted)
        return (bool(taken) or self._was_stopped(drafted, codes)) and not goes_on and not drafted_on

    def _listed(self, codes: Set[str]) -> list[CurrentMedication]:
        return [medication for medication in self._of_patient.active if codes & {*medication.medication.rxcuis}]

    def _was_stopped(self, drafted: DraftMedication, codes: Set[str]) -> bool:
        """Whether a draft says by itself that the drug was taken until now, and nothing says that it had ended before.

        FHIR R4, medicationrequest-status: stopped is "permanently halted, before all of them occurred". A server that
        has stored the stop already does not list the order as active any more.
        """
        end = end_of_order(drafted.order, self.record)
        is_over = end is not None and end < self.record.as_of_epoch
        had_ended = any(codes & {*medication.medication.rxcuis} for medication in self.record.derive(_ended_lately))
        is_stop = drafted.order.status == "stopped" and not drafted.order.doNotPerform
        return is_stop and self.knows_medications and not is_over and not had_ended

    def is_listed(self, order: MedicationRequest) -> bool:
        """Whether the drug of an order is on the list of what the patient takes."""
        return bool(self._listed({*identify(order, self.medications).rxcuis}))

    @cached_property
    def studies(self) -> tuple[DraftStudy, ...]:
        """The drafts that order a study or test that rules can be about."""
        read = ((draft, read_study(draft.resource)) for draft in self.drafts if is_wanted_study(draft))
        return tuple(DraftStudy(draft, study) for draft, study in read if study.groups)

    @cached_property
    def active(self) -> tuple[CurrentMedication, ...]:
        """What the patient is on, without what a draft changes or stops: that has the same id and the same drug.

        An id alone is used twice by some clients.
        """
        listed = self._of_patient.active
        sources = {medication.source for medication in listed}
        drafted_again = {
            draft.reference: identify(draft.order, self.medications)
            for draft in reversed(self.drafts)  # of two with one reference the first counts
            if draft.order is not None and draft.reference in sources
        }
        if not drafted_again:
            return listed
        return tuple(
            [
                medication
                for medication in listed
                if (draft := drafted_again.get(medication.source)) is None
                or (draft.recognised and {*draft.rxcuis}.isdisjoint(medication.medication.rxcuis))
            ]
        )

    @cached_property
    def _by_key(self) -> dict[str, list[CurrentMedication]]:
        """What is active, then what is drafted, by each of its ingredients (RxNorm codes) and classes (names)."""
        by_key: dict[str, list[CurrentMedication]] = {}
        for medication in (*self.active, *map(CurrentMedication.of_draft, self.drafted)):
            for key in medication.medication.keys:
                by_key.setdefault(key, []).append(medication)
        return by_key

    @cached_property
    def keys(self) -> frozenset[str]:
        """The ingredients and classes of what is active or drafted, or may be taken."""
        uncertain = [medication.medication.keys for medication in self._of_patient.uncertain]
        return frozenset(self._by_key).union(*uncertain)

    @property
    def has_ended(self) -> bool:
        """Whether something ended so lately that it may still act."""
        return bool(self.record.derive(_ended_lately))

    def with_key(self, key: str) -> Sequence[CurrentMedication]:
        """Return what has this ingredient or class and is active or drafted."""
        return self._by_key.get(key, ())

    def medications_beside(
        self, drafted: DraftMedication, keys: Iterable[str], most: int | None = None
    ) -> list[CurrentMedication]:
        """Return what has one of these ingredients or classes and is active or in another draft; at most so many.

        Neither the draft itself nor the order that it renews.
        """
        keys = tuple(keys)
        by_key = self._by_key
        lists = [of_key for key in keys if (of_key := by_key.get(key))]
        candidates = lists[0] if len(lists) == 1 else _each_once(lists)
        return list(islice((medication for medication in candidates if is_beside(medication, drafted)), most))

    def selected(self, selector: Selector) -> list[CurrentMedication]:
        """Return what the selector means and is active or drafted, found once for all drafts."""
        selected = self._selected.get(selector)
        if selected is None:
            # Of two sets the smaller is looked through: a rule about pairs has a thousand keys. In one order, so that a
            # decision replays bit for bit.
            of_keys = [self._by_key.get(key, ()) for key in sorted(selector.keyed & self.keys)]
            by_id = {id(medication): medication for of_key in of_keys for medication in of_key}
            selected = [medication for medication in by_id.values() if selector.matches(medication.medication)]
            self._selected[selector] = selected
        return selected

    def days_left(self, medication: CurrentMedication) -> float:
        """Days that what is taken still goes on by its own end or its supply; infinite where neither is known."""
        dose = medication.dose
        if medication.drafted is not None:
            return 1.0 if dose.single else dose.duration_days if dose.duration_days is not None else float("inf")
        end = end_of_order(medication.order, self.record)
        if end is None and medication.since and dose.duration_days is not None:
            started = parse_time(medication.since)
            end = started.instant + dose.duration_days * DAY_SECONDS if started is not None else None
        return (end - self.record.as_of_epoch) / DAY_SECONDS if end is not None else float("inf")

    def partners_of(
        self, drafted: DraftMedication, selectors: Iterable[Selector], keys: frozenset[str] | None = None
    ) -> Iterator[CurrentMedication]:
        """Yield what a selector means and is active, in another draft, ended within its washout, or may be taken.

        Each drug once as active, once as draft, once as ended; never the drug that is drafted; with `keys` those alone
        that have one of these ingredients or classes.
        """
        yielded: set[tuple[object, ...]] = set()
        codes = frozenset(drafted.medication.rxcuis)
        for selector in selectors:
            for key, alike in self._alike(selector).items():
                if key in yielded or codes.issuperset(key[0]):
                    continue
                for medication in alike:
                    is_named = keys is None or not keys.isdisjoint(medication.medication.keys)
                    if is_named and is_beside(medication, drafted) and not _is_of_draft(medication, selector, codes):
                        yielded.add(key)
                        yield medication
                        break
            ended = self.record.derive(_ended_lately) if selector.washout_days else ()
            others = [medication for medication in ended if self._acts_still(medication, selector)]
            may_be_taken = self._of_patient.uncertain
            others += [medication for medication in may_be_taken if selector.matches(medication.medication)]
            for medication in others:
                key = (medication.medication.rxcuis, False)
                is_named = keys is None or not keys.isdisjoint(medication.medication.keys)
                if is_named and key not in yielded and not _is_of_draft(medication, selector, codes):
                    yielded.add(key)
                    yield medication

    def _alike(self, selector: Selector) -> dict[tuple[tuple[str, ...], bool], list[CurrentMedication]]:
        """Group by ingredients and by being drafted what the selector means: a chart may list a drug many times."""
        alike = self._grouped.get(selector)
        if alike is None:
            alike = self._grouped[selector] = {}
            for medication in self.selected(selector):
                key = (medication.medication.rxcuis, medication.drafted is not None)
                alike.setdefault(key, []).append(medication)
        return alike

    def _acts_still(self, medication: CurrentMedication, selector: Selector) -> bool:
        if medication.ended is None or medication.ended.whole_days(self.record.as_of_epoch) > selector.washout_days:
            return False
        return selector.matches(medication.medication)

    def is_recent_start(self, medication: MedicationIdentity, days: float) -> bool | None:
        """Whether an ingredient of the medication was begun in the last `days`."""
        answers = [self.record.derive(is_recent_start, rxcui, days) for rxcui in medication.rxcuis]
        return True if True in answers else None if None in answers else False

    def is_new_start(self, ingredient: Ingredient, drafted: DraftMedication) -> bool:
        """Whether the patient had no order of the ingredient in the last 180 days."""
        # A draft that renews another is not a start, whether or not the other one came along.
        if drafted.order.priorPrescription is not None:
            return False
        return self._begun_now or self.record.derive(is_new_start, ingredient.rxcui)

    # Tests

    def is_ordered(self, codes: frozenset[str], days: float, where: str) -> bool:
        """Whether a test of these codes is among the drafts or, with "any", the open orders of the last days."""
        if where != "draft" and any(
            not codes.isdisjoint(tests) and is_open_order(request, self.record, days)
            for request, tests in self._tests_of_record
        ):
            return True
        return any(not codes.isdisjoint(tests) for _, tests in self._drafted_tests)

    @cached_property
    def _drafted_tests(self) -> list[tuple[ServiceRequest, frozenset[str]]]:
        return self._open_tests(draft.read for draft in self.drafts)

    @cached_property
    def _tests_of_record(self) -> list[tuple[ServiceRequest, frozenset[str]]]:
        return self._open_tests(self.record.facts(ServiceRequest))

    def _open_tests(self, requests: Iterable[object]) -> list[tuple[ServiceRequest, frozenset[str]]]:
        services = (request for request in requests if isinstance(request, ServiceRequest))
        return [(request, tests_of(request)) for request in services if is_open_order(request, self.record, inf)]

    def condition(self, key: str) -> ConditionHit | None:
        """Return the newest condition that means the key, on the problem list or shown by a result."""
        if key not in self.conditions:
            self.conditions[key] = find_condition(self.record, key) or self._shown_by_result(key)
        return self.conditions[key]

    def _shown_by_result(self, key: str) -> ConditionHit | None:
        if key == "tobacco_use":
            answer = smoking_history(self.record).answer
            if answer is None or answer.status != "current":
                return None
            return ConditionHit(key, answer.words, "", answer.source, answer.time, "active")
        shown = shown_by_result(self.record, key)
        if shown is None:
            return None
        self.results_shown[key] = shown
        return ConditionHit(key, measurements.say(shown), "", shown.source, shown.time, "active")

    @cached_property
    def allergies(self) -> tuple[Allergy, ...]:
        """The drug allergies and intolerances."""
        return allergies(self.record)

    @cached_property
    def allergies_by_ingredient(self) -> Mapping[str, Sequence[Allergy]]:
        """The drug allergies and intolerances by the RxNorm codes of their ingredients."""
        return allergies_by_ingredient(self.record)

    def is_allergic_to(self, medication: MedicationIdentity) -> bool:
        """Whether an allergy or intolerance to an ingredient of the medication or a class of it is on the list."""
        return any(
            allergy.allergen.classes & medication.classes
            or any(medication.has(ingredient.rxcui) for ingredient in allergy.allergen.ingredients)
            for allergy in self.allergies
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
    def age_months(self) -> float | None:
        """Completed months; in the first month the part of it that has passed: labels name days there."""
        months = self.record.age_months()
        if months == 0 and (born := self.record.birth_date) is not None:
            return born.whole_days(self.record.as_of_epoch) / 30.4375
        return months

    @cached_property
    def is_child(self) -> bool:
        """Whether the patient is surely under 18."""
        ages = self.record.age_bounds()
        return ages is not None and ages[1] < _ADULT_YEARS

    @cached_property
    def weight(self) -> Measurement | None:
        """The newest weight; a child's only of the last 90 days."""
        return newest_weight(self.record)

    def lab(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """Return the newest usable value within so many days; of two with one timestamp the higher one.

        Its `side` is set where the newest result says only on which side of a number it lies.
        """
        # CLARIFICATIONS: two values with one timestamp count as the worse for the drug.
        return max(self.record.derive(_newest_together, analyte, max_age_days), key=_value, default=None)

    def lowest(self, analyte: str, max_age_days: float | None) -> Measurement | None:
        """Return the same where the lower one of two with one timestamp is the worse."""
        return min(self.record.derive(_newest_together, analyte, max_age_days), key=_value, default=None)

    # Kidney

    def kidney(self, name: str) -> KidneyFunction:
        """Return an estimate of kidney function (a name of ESTIMATES), or why there is none."""
        if name == "egfr_best":
            return egfr_best(self.record)
        return self.record.derive(crcl_cockcroft_gault, "actual" if name == "crcl_actual_weight" else "adjusted")

    @cached_property
    def any_egfr(self) -> KidneyEstimate | None:
        """The eGFR, also from a value that is too old."""
        egfr = self.kidney("egfr_best")
        return egfr if isinstance(egfr, KidneyEstimate) else egfr.old

    @cached_property
    def unstable_notes(self) -> tuple[str, ...]:
        """What to say when creatinine is changing or the kidneys are acutely injured."""
        if self.any_egfr is None or not self.any_egfr.unstable:
            return ()
        return (measurements.unstable_note(self.record.measurements("creatinine")),)

    @property
    def kidney_window(self) -> str:
        """How far back kidney function is looked for."""
        return "30 days" if is_inpatient(self.record) else "12 months"

    def why_no_kidney_function(self, name: str) -> tuple[str, str]:
        """Return the reason code and the sentence for a missing estimate."""
        function = self.kidney(name)
        if isinstance(function, KidneyEstimate):
            return "kidney-function-stale", "kidney function is too old."
        code = {"under-18": "under-18", "stale": "kidney-function-stale"}.get(
            function.reason, "kidney-function-missing"
        )
        return code, function.text


def _is_of_draft(medication: CurrentMedication, selector: Selector, drafted_codes: frozenset[str]) -> bool:
    """Whether all its ingredients that the selector means are in the draft as well."""
    rxcuis = medication.medication.rxcuis
    if len(rxcuis) == 1:  # which is the one that is meant
        return rxcuis[0] in drafted_codes
    return drafted_codes.issuperset([part.rxcui for part in selector.members(medication.medication)])


def _newest_together(record: PatientRecord, analyte: str, max_age_days: float | None) -> list[Measurement]:
    bound = measurements.newer_bound(record, analyte, max_age_days)
    if bound is not None:
        return [bound]
    index = measurements.body_mass_index(record, max_age_days) if analyte == "bmi" else None
    return [index] if index is not None else record.newest_together(analyte, max_age_days)


def newest_weight(record: PatientRecord) -> Measurement | None:
    """Return the newest weight that can be right; a child's only of the last 90 days."""
    return judged_weight(record).used


def _each_once(lists: Iterable[list[CurrentMedication]]) -> list[CurrentMedication]:
    return list({id(medication): medication for of_key in lists for medication in of_key}.values())


def _value(measurement: Measurement) -> float:
    return measurement.value
