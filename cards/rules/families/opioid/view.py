"""The opioids of a draft and beside it: milligrams of oral morphine a day, tolerance, rescue naloxone, release."""

from collections.abc import Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from cards.rules.patient.orders import CurrentMedication, DraftMedication
from cards.rules.patient.session import PatientSession
from fhir.mapping.medications.active import begun_at, ended_medications, orders_ever_taken
from fhir.mapping.medications.administration import administrations
from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import MedicationIdentity, Order, identify
from fhir.mapping.medications.opioids import (
    METHADONE,
    OpioidDose,
    is_opioid,
    is_partial_agonist,
    is_patch,
    opioid_doses,
)
from fhir.record.datatypes import FhirTime, parse_time
from fhir.record.record import PatientRecord, relative_reference
from fhir.record.resources import MedicationAdministration, MedicationDispense, MedicationStatement
from fhir.terminology.medications import CLASS_MEMBERS

# shared/data/medications/rules/opioid.json: tolerance needs a week, within the last 14 days.
TOLERANCE_DAYS = 7
TOLERANCE_LOOK_BACK_DAYS = 14
_UNCHANGED_DAYS = 30
UNDER_MME = 50.0
"""CDC 2022, recommendation 4: from 50 MME a day on many patients gain nothing while the risk rises."""
NALOXONE = frozenset({"7242", "31479"})


class OpioidPart(Struct, frozen=True, gc=False):
    """One opioid of one order: its dose, where it stands, whether it is a draft of the session."""

    dose: OpioidDose
    kind: str
    source: str
    since: FhirTime | None
    is_draft: bool = False
    is_order: bool = True


def release_of(identity: MedicationIdentity) -> str:
    """ "patch", "slow" or "fast": orders of one ingredient and one release replace each other."""
    if is_patch(identity):
        return "patch"
    return "slow" if identity.is_slow_release else "fast"


def is_long_acting(identity: MedicationIdentity) -> bool:
    """Whether it is an opioid for round the clock: extended release, patch, methadone; buprenorphine is none."""
    full = [code for code in identity.rxcuis if is_opioid(code) and not is_partial_agonist(code)]
    return bool(full) and not identity.is_said_injected and (METHADONE in full or release_of(identity) != "fast")


def _doses_of(order: Order, medication: MedicationIdentity, dose: DailyDose) -> Iterator[OpioidDose]:
    """Yield the opioids that count: of what is injected only the known dose of a day that runs all day long."""
    counted = opioid_doses(medication, dose, injected=False)
    if not medication.is_said_injected:
        yield from counted
    elif counted and any(step.runs_all_day for step in administrations(order, medication)):
        yield from (part for part in counted if part.problem is None)


class OpioidView:
    """The opioids of one draft of one chart."""

    def __init__(self, session: PatientSession, drafted: DraftMedication) -> None:
        # Not the session itself, which holds this view: the collector would have to take the circle.
        self._record = session.record
        self._active = session.active
        self._drafted = drafted
        release, name = release_of(drafted.medication), drafted.draft.name
        own_doses = _doses_of(drafted.order, drafted.medication, drafted.dose)
        own_parts = tuple([OpioidPart(dose, release, name, None, is_draft=True) for dose in own_doses])
        beside = tuple(self._beside(session.medications_beside(drafted, ("opioid",))))
        replaced = {_key(part) for part in own_parts} | {_key(part) for part in beside if part.is_draft}
        charted = tuple(part for part in beside if not part.is_draft)
        # What the draft, or another draft, takes the place of is not added to it; one that does not count adds nothing.
        kept = tuple(part for part in beside if part.is_draft or _key(part) not in replaced)
        self.is_counted = bool(own_parts) or not drafted.medication.is_said_injected
        self.parts = (*own_parts, *kept) if self.is_counted else ()
        self._charted = charted

    @cached_property
    def _before(self) -> tuple[OpioidPart, ...]:
        """The opioids of the last 30 days, without the drafts of the session."""
        lately = _lately(self._record, _UNCHANGED_DAYS, self._charted)
        return (*self._charted, *self._replaced_by_reference(), *lately)

    @cached_property
    def total(self) -> tuple[float, bool]:
        """Milligrams of oral morphine a day that are known, and whether that is all."""
        return _sum(self.parts)

    @property
    def problems(self) -> list[str]:
        """Why the rest is not known, each once."""
        return list(dict.fromkeys(part.dose.problem for part in self.parts if part.dose.problem is not None))

    @property
    def is_not_raised(self) -> bool | None:
        """Whether the total is that of the last 30 days or lower; None when either is not known."""
        total, is_whole = self.total
        before, known_before = _sum(self._before)
        if not self._before:
            return False
        return total <= before + 1e-9 if is_whole and known_before else None

    @cached_property
    def is_tolerant(self) -> bool | None:
        """Whether the patient has had, for a week or longer, the daily dose that makes tolerant.

        As needed may be nothing, so that it makes neither sure; an opioid whose dose is not known neither.
        """
        record = self._record
        parts_before = [*self._charted, *self._replaced_by_reference()]
        parts_before += _lately(record, TOLERANCE_LOOK_BACK_DAYS, self._charted)
        dated = [part.since for part in parts_before if part.since is not None]
        long_enough = [time for time in dated if time.whole_days(record.as_of_epoch) >= TOLERANCE_DAYS]
        if len(dated) == len(parts_before) and not long_enough:
            return False
        known_doses = [part.dose for part in parts_before if part.dose.problem is None]
        if sum(dose.tolerance_low for dose in known_doses) >= 1.0 - 1e-9 and long_enough:
            return True
        all_known = len(known_doses) == len(parts_before)
        return False if all_known and sum(dose.tolerance_high for dose in known_doses) < 1.0 - 1e-9 else None

    def _beside(self, medications: Iterable[CurrentMedication]) -> Iterator[OpioidPart]:
        based_on = _based_on(self._drafted)
        parts = [
            part
            for medication in medications
            if medication.source not in based_on
            for part in self._of_taken(medication)
        ]
        yield from _ordered(parts)

    def _replaced_by_reference(self) -> Iterator[OpioidPart]:
        """Yield the orders that the draft says it renews: they are not part of the new total."""
        prior = self._drafted.order.priorPrescription
        prior_order = relative_reference(prior.reference) if prior is not None else None
        references = {prior_order, *_based_on(self._drafted)}
        for medication in self._active:
            if medication.source in references:
                yield from self._of_taken(medication)

    def _of_taken(self, medication: CurrentMedication) -> Iterator[OpioidPart]:
        since = parse_time(medication.since)
        is_order = not isinstance(medication.order, MedicationStatement | MedicationDispense | MedicationAdministration)
        for dose in _doses_of(medication.order, medication.medication, medication.dose):
            release, is_draft = release_of(medication.medication), medication.drafted is not None
            yield OpioidPart(dose, release, medication.source, since, is_draft, is_order)


def opioid_view(session: PatientSession, drafted: DraftMedication) -> OpioidView:
    """Return the opioids of the draft, derived once: a draft belongs to one chart."""
    return session.derive(("opioids", drafted), lambda: OpioidView(session, drafted))


def has_rescue_naloxone(session: PatientSession, within_days: float) -> bool:
    """Whether naloxone or nalmefene by itself was ordered, given out, stated or drafted in that time."""
    drafted = (drafted_medication.medication for drafted_medication in session.drafted)
    active = (medication.medication for medication in session.active)
    if any(_is_rescue(medication) for medication in (*drafted, *active)):
        return True
    record = session.record
    for rxcui in sorted(NALOXONE):
        for order in orders_ever_taken(record, rxcui):
            begun = begun_at(order)
            in_time = begun is not None and begun.is_within(within_days, record.as_of_epoch)
            if in_time and _is_rescue(identify(order, record.medications)):
                return True
    return False


def _is_rescue(identity: MedicationIdentity) -> bool:
    """Say whether it is naloxone, not combined with an opioid; it counts without a stated form (CLARIFICATIONS)."""
    return bool(identity.rxcuis) and NALOXONE.issuperset(identity.rxcuis)


def _key(part: OpioidPart) -> tuple[str, str]:
    return part.dose.ingredient.rxcui, part.kind


def _sum(parts: Iterable[OpioidPart]) -> tuple[float, bool]:
    milligrams = [part.dose.high for part in parts]
    return round(sum(amount for amount in milligrams if amount is not None), 6), None not in milligrams


def _ordered(parts: Iterable[OpioidPart]) -> Iterator[OpioidPart]:
    """Without what a statement or a dispense repeats of an order."""
    listed = list(parts)
    ordered = {_key(part) for part in listed if part.is_order}
    seen: set[tuple[str, str]] = set()
    for part in listed:
        if part.is_order:
            yield part
        elif _key(part) not in ordered | seen:
            seen.add(_key(part))
            yield part


def _lately(record: PatientRecord, days: float, active: Iterable[OpioidPart]) -> Iterator[OpioidPart]:
    """Opioids of orders that are over and were taken in so many days, unless the same goes on."""
    going_on = {_key(part) for part in active}
    sources = {part.source for part in active}
    ended = {ended_medication.source for ended_medication in ended_medications(record, days)}
    seen: set[tuple[str, str]] = set()
    taken = (order for rxcui in sorted(CLASS_MEMBERS["opioid"]) for order in orders_ever_taken(record, rxcui))
    for source, order in {order.source: order for order in taken}.items():
        since = begun_at(order)
        recent = since is not None and since.is_within(days, record.as_of_epoch) and order.status == "completed"
        if source in sources or not (recent or source in ended):
            continue
        medication = identify(order, record.medications)
        for dose in _doses_of(order, medication, daily_dose(order, medication)):
            part = OpioidPart(dose, release_of(medication), source, since)
            if _key(part) not in going_on | seen:
                seen.add(_key(part))
                yield part


def _based_on(drafted: DraftMedication) -> frozenset[str]:
    listed = drafted.draft.resource.get("basedOn")
    references = (
        (entry.get("reference") for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()
    )
    return frozenset(relative_reference(str(reference)) for reference in references if reference)
