"""The patient record: the facts of one patient at one instant, and what was refused on the way."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from fhir.record.bound import Bound, bounds
from fhir.record.errors import WrongPatient
from fhir.record.measurement import (
    CodedPart,
    Measurement,
    effective_time,
    measure,
    newest_first,
    newest_part,
    parts_by_analyte,
)
from fhir.record.refusal import Refusal
from fhir.record.resources import (
    AllergyIntolerance,
    Bundle,
    Condition,
    Encounter,
    Medication,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
    OperationOutcome,
    Patient,
    Procedure,
    ServiceRequest,
)
from fhir.record.subject import last_part, names_a_patient, subject_references
from fhir.record.time import FhirTime, parse_time
from fhir.terminology.analytes import ANALYTES

OnOtherPatient = Literal["stop", "refuse"]

_T = TypeVar("_T")

FACT_TYPES = (
    Observation,
    Condition,
    MedicationRequest,
    MedicationStatement,
    MedicationDispense,
    AllergyIntolerance,
    Encounter,
    Procedure,
    ServiceRequest,
)
_NEVER_STATUS = frozenset({"entered-in-error", "cancelled", "not-done"})
_NEVER_VERIFICATION = ("entered-in-error", "refuted")


class PatientRecord:
    """Facts of one patient as of one instant.

    What was entered in error, cancelled, not done or refuted is not in here. Every resource or value that
    arrived and was not used stands in `refusals`.
    """

    def __init__(self, patient_id: str, as_of: datetime) -> None:
        if as_of.tzinfo is None:
            raise ValueError("as_of needs a time zone")
        self.patient_id = patient_id
        self.as_of = as_of
        self.as_of_epoch = as_of.timestamp()
        self.patient: Patient | None = None
        self.refusals: list[Refusal] = []
        # Resource types and analytes that were asked for, found or not; None: everything was.
        self.known: frozenset[str] | None = None
        # The stay that the call is about, where it names one.
        self.encounter_id: str | None = None
        self.medications: dict[str, Medication] = {}
        self._taken: dict[type[Any], list[Any]] = {kind: [] for kind in FACT_TYPES}
        self._facts_of: dict[type[Any], list[Any]] = {}
        self._by_analyte: dict[str, list[CodedPart]] | None = None
        self._newest: dict[str, Measurement | None] = {}
        # What other modules derive from this record once: kept here so that it ends with it.
        self.derived: dict[str, Any] = {}
        self._measured: dict[str, list[Measurement]] = {}

    def let_go(self) -> None:
        """Gives the resources' memory back; who, when, `known` and `refusals` stay. There are no facts after this.

        For a caller that has what it needs and will wait: sixteen charts kept while their calls wait together cost
        more, in memory gone cold, than everything that is computed from them.
        """
        for kept in self._taken.values():
            kept.clear()
        self._facts_of.clear()
        self._by_analyte = None
        self._newest.clear()
        self._measured.clear()

    def knows(self, what: str) -> bool:
        """Whether this resource type or analyte was asked for: if not, its absence means nothing."""
        return self.known is None or what in self.known

    @property
    def observations(self) -> list[Observation]:
        """Observations that are facts."""
        return self._facts(Observation)

    @property
    def conditions(self) -> list[Condition]:
        """Problems and diagnoses, active or not; neither refuted nor entered in error."""
        return self._facts(Condition)

    @property
    def medication_requests(self) -> list[MedicationRequest]:
        """Orders and prescriptions in any state but entered in error or cancelled."""
        return self._facts(MedicationRequest)

    @property
    def medication_statements(self) -> list[MedicationStatement]:
        """What the patient is said to take or have taken."""
        return self._facts(MedicationStatement)

    @property
    def medication_dispenses(self) -> list[MedicationDispense]:
        """What a pharmacy gave out."""
        return self._facts(MedicationDispense)

    @property
    def allergies(self) -> list[AllergyIntolerance]:
        """Allergies and intolerances that are neither refuted nor entered in error."""
        return self._facts(AllergyIntolerance)

    @property
    def encounters(self) -> list[Encounter]:
        """Visits and stays that took or take place."""
        return self._facts(Encounter)

    @property
    def procedures(self) -> list[Procedure]:
        """What was done."""
        return self._facts(Procedure)

    @property
    def service_requests(self) -> list[ServiceRequest]:
        """Orders for tests and services."""
        return self._facts(ServiceRequest)

    def _facts(self, kind: type[_T]) -> list[_T]:
        known = self._facts_of.get(kind)
        if known is None:
            known = self._facts_of[kind] = list(_distinct_facts(self._taken[kind]))
        return known

    @property
    def birth_date(self) -> FhirTime | None:
        """The birth date as charted; None when it is absent, unreadable or in the future."""
        text = self.patient.birthDate if self.patient else None
        born = parse_time(text) if text else None
        return None if born is None or born.is_after(self.as_of_epoch) else born

    def age_years(self) -> int | None:
        """Completed years at `as_of`; None without a birth date that has its year and month.

        A year-only birth date gives no age: it would be off by up to a year on either side of a threshold.
        """
        born = self.birth_date
        if born is None or born.precision == "year":
            return None
        today = self.as_of.date()
        year, month, day = int(born.text[:4]), int(born.text[5:7]), int(born.text[8:10] or 1)
        return today.year - year - ((today.month, today.day) < (month, day))

    @property
    def sex(self) -> Literal["male", "female"] | None:
        """Administrative sex where it is male or female."""
        gender = self.patient.gender if self.patient else None
        if gender == "male":
            return "male"
        return "female" if gender == "female" else None

    @property
    def deceased(self) -> bool:
        """Whether the patient has died."""
        patient = self.patient
        return patient is not None and bool(patient.deceasedBoolean or patient.deceasedDateTime)

    def measurements(self, analyte: str) -> list[Measurement]:
        """All usable values of an analyte (a key of ANALYTES), newest first; those refused are in `refusals`."""
        known = self._measured.get(analyte)
        if known is None:
            outcomes = (self._measure(analyte, part) for part in newest_first(self._parts(analyte)))
            known = self._measured[analyte] = [outcome for outcome in outcomes if outcome is not None]
        return known

    def measurements_from(self, analyte: str, instant: float) -> list[Measurement]:
        """Those of them that were measured at that epoch second or later."""
        if analyte in self._measured:
            return [one for one in self._measured[analyte] if one.time.instant >= instant]
        late = [part for part in self._parts(analyte) if _instant(part[0]) >= instant]
        return [one for part in newest_first(late) if (one := self._measure(analyte, part)) is not None]

    def bounds(self, analyte: str) -> list[Bound]:
        """Results that say only on which side of a number they lie, newest first."""
        observations = {part[0].id or id(part[0]): part[0] for part in self._parts(analyte)}
        return list(bounds(observations.values(), ANALYTES[analyte], self.as_of_epoch))

    def newest(self, analyte: str, max_age_days: float | None = None) -> Measurement | None:
        """The newest usable value, or None when there is none that young.

        Looks no further than that value, so `refusals` gains exactly what is newer than it.
        """
        if analyte in self._newest:
            found = self._newest[analyte]
        else:
            found = self._newest[analyte] = self._find_newest(analyte)
        if found is None or (max_age_days is not None and int(found.age_days(self.as_of_epoch)) > max_age_days):
            return None
        return found

    def newest_together(self, analyte: str, max_age_days: float | None = None) -> list[Measurement]:
        """The newest usable value and the others of the same instant; none when it is older than that."""
        newest = self.newest(analyte, max_age_days)
        if newest is None:
            return []
        at_once = [part for part in self._parts(analyte) if _is_of(part[0], newest.time)]
        if len(at_once) == 1:
            return [newest]
        return [one for part in at_once if (one := self._measure(analyte, part)) is not None]

    def _parts(self, analyte: str) -> Sequence[CodedPart]:
        if self._by_analyte is None:
            self._by_analyte = parts_by_analyte(self._taken[Observation])
        return self._by_analyte.get(analyte, ())

    def _find_newest(self, analyte: str) -> Measurement | None:
        parts = self._parts(analyte)
        if not parts:
            return None
        found = self._measure(analyte, newest_part(parts))
        if found is not None:
            return found
        older = (self._measure(analyte, part) for part in newest_first(parts))
        return next((measurement for measurement in older if measurement is not None), None)

    def _measure(self, analyte: str, part: CodedPart) -> Measurement | None:
        outcome = measure(ANALYTES[analyte], part, self.as_of_epoch)
        if isinstance(outcome, Refusal):
            if outcome not in self.refusals:
                self.refusals.append(outcome)
            return None
        return outcome


def _instant(observation: Observation) -> float:
    time = effective_time(observation)
    return time.instant if time is not None else -math.inf


def _is_of(observation: Observation, time: FhirTime) -> bool:
    if observation.effectiveDateTime == time.text:
        return True
    own = effective_time(observation)
    return own is not None and own.instant == time.instant


def _distinct_facts(resources: Iterable[_T]) -> Iterator[_T]:
    seen: set[str] = set()
    for resource in resources:
        identity = getattr(resource, "id", None)
        if identity is not None and identity in seen:
            continue  # the same resource under two prefetch keys is one fact
        if identity is not None:
            seen.add(identity)
        if not _is_no_fact(resource):
            yield resource


def _is_no_fact(resource: Any) -> bool:
    if getattr(resource, "status", None) in _NEVER_STATUS:
        return True
    verification = getattr(resource, "verificationStatus", None)
    return verification is not None and any(verification.has(code) for code in _NEVER_VERIFICATION)


def read_record(
    prefetch: Mapping[str, Any],
    patient_id: str,
    as_of: datetime,
    *,
    on_other_patient: OnOtherPatient = "stop",
) -> PatientRecord:
    """The record of `patient_id` from lean resources and Bundles by key; None values mean "asked, none found".

    A resource about another patient raises WrongPatient, or with `on_other_patient="refuse"` is refused and named.
    """
    reading = _Reading(PatientRecord(patient_id, as_of), on_other_patient)
    for value in prefetch.values():
        if isinstance(value, Bundle):
            reading.take_bundle(value)
        elif value is not None:
            reading.take(value, None)
    return reading.finish()


class _Reading:
    """Takes resources in, one pass, whoever they are about being checked on the way."""

    def __init__(self, record: PatientRecord, on_other_patient: OnOtherPatient) -> None:
        self.record = record
        self.on_other_patient = on_other_patient
        self.ours = {record.patient_id}
        # The last reference that was found to be ours: most of a Bundle repeats it.
        self.usual = f"Patient/{record.patient_id}"
        self.undecided: list[tuple[Any, str | None]] = []

    def take_bundle(self, bundle: Bundle) -> None:
        taken, usual = self.record._taken, self.usual
        for entry in bundle.entry:
            resource = entry.resource
            kept = taken.get(type(resource))
            # AllergyIntolerance says `patient`, everything else `subject`; the first line of the test is the hot path.
            subject = getattr(resource, "subject", None)
            if kept is not None and subject is not None and subject.reference == usual:
                kept.append(resource)
            elif resource is not None:
                self.take(resource, entry.fullUrl)

    def take(self, resource: Any, full_url: str | None) -> None:
        if isinstance(resource, Patient):
            self._take_patient(resource, full_url)
        elif isinstance(resource, Bundle):
            self.take_bundle(resource)
        elif not isinstance(resource, OperationOutcome):
            self.undecided.append((resource, full_url))

    def finish(self) -> PatientRecord:
        for resource, full_url in self.undecided:  # only now are all names of the patient known
            if self._is_ours(resource):
                self._keep(resource, full_url)
        return self.record

    def _take_patient(self, patient: Patient, full_url: str | None) -> None:
        record = self.record
        if patient.id is not None and patient.id != record.patient_id:
            _other_patient(patient, record, self.on_other_patient)
            return
        if full_url:
            self.ours.add(last_part(full_url))
        record.patient = record.patient or patient

    def _keep(self, resource: Any, full_url: str | None) -> None:
        if isinstance(resource, Medication):
            if resource.status != "entered-in-error":
                for key in (resource.id, f"Medication/{resource.id}", full_url):
                    if key:
                        self.record.medications[key] = resource
            return
        kept = self.record._taken.get(type(resource))
        if kept is not None:
            kept.append(resource)

    def _is_ours(self, resource: Any) -> bool:
        for subject in subject_references(resource):
            reference = subject.reference
            if reference is None or reference == self.usual or reference.startswith("#"):
                continue
            if not names_a_patient(reference):
                name = _name_of(resource)
                text = f"{name} is not about a patient: not used."
                self.record.refusals.append(Refusal(name, "other-subject", text))
                return False
            if last_part(reference) not in self.ours:
                return _other_patient(resource, self.record, self.on_other_patient)
        return True


def _other_patient(resource: Any, record: PatientRecord, on_other_patient: OnOtherPatient) -> bool:
    # A Patient's id is the very thing that must not be repeated in an error.
    name = "The Patient resource" if isinstance(resource, Patient) else _name_of(resource)
    if on_other_patient == "stop":
        raise WrongPatient(name)
    record.refusals.append(Refusal(name, "other-patient", f"{name} is about another patient: not used."))
    return False


def _name_of(resource: Any) -> str:
    kind = getattr(resource, "resource_type", None) or type(resource).__struct_config__.tag
    return f"{kind}/{resource.id}" if resource.id else f"a {kind} without id"
