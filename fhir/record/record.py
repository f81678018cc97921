"""The patient record: the facts of one patient at one instant, and what was refused on the way."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

from fhir.record.errors import WrongPatient
from fhir.record.measurement import Candidate, Measurement, effective_time, measure
from fhir.record.refusal import Refusal
from fhir.record.resources import (
    AllergyIntolerance,
    Bundle,
    Condition,
    Encounter,
    Medication,
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
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES, LOINC

OnOtherPatient = Literal["stop", "refuse"]

_T = TypeVar("_T")

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
        self.medications: dict[str, Medication] = {}
        self._by_type: dict[type[Any], list[Any]] = {
            kind: []
            for kind in (
                Observation,
                Condition,
                MedicationRequest,
                MedicationStatement,
                AllergyIntolerance,
                Encounter,
                Procedure,
                ServiceRequest,
            )
        }
        self._candidates: dict[str, list[Candidate]] | None = None
        self._measured: dict[str, list[Measurement]] = {}

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
        return self._by_type[kind]

    @property
    def birth_date(self) -> FhirTime | None:
        """The birth date as charted; None when it is absent, unreadable or in the future."""
        text = self.patient.birthDate if self.patient else None
        born = parse_time(text) if text else None
        return None if born is None or born.is_after(self.as_of_epoch) else born

    def age_years(self) -> int | None:
        """Completed years at `as_of` (at death, if that was earlier); None without a birth date with its year and month.

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
            known = self._measured[analyte] = list(self._usable(analyte))
        return known

    def newest(self, analyte: str, max_age_days: float | None = None) -> Measurement | None:
        """The newest usable value, or None when there is none that young.

        Looks no further than that value, so `refusals` gains exactly what is newer than it.
        """
        known = self._measured.get(analyte)
        found = known[0] if known else None if known is not None else next(self._usable(analyte), None)
        if found is None or (max_age_days is not None and int(found.age_days(self.as_of_epoch)) > max_age_days):
            return None
        return found

    def _usable(self, analyte: str) -> Iterator[Measurement]:
        meaning = ANALYTES[analyte]
        for candidate in self._candidates_of(analyte):
            outcome = measure(meaning, candidate, self.as_of_epoch)
            if isinstance(outcome, Measurement):
                yield outcome
            elif outcome is not None and outcome not in self.refusals:
                self.refusals.append(outcome)

    def _candidates_of(self, analyte: str) -> list[Candidate]:
        if self._candidates is None:
            self._candidates = _candidates_by_analyte(self._by_type[Observation])
        found = self._candidates.get(analyte, [])
        # Without a date first: they are refused and named. Then newest first; equal times keep the order they came in.
        found.sort(key=lambda candidate: -candidate.time.instant if candidate.time else float("-inf"))
        return found

    def add(self, resource: Any, full_url: str | None = None) -> None:
        """Takes one lean resource in, unless its status says that it is not a fact."""
        if isinstance(resource, Medication):
            self._add_medication(resource, full_url)
            return
        kept = self._by_type.get(type(resource))
        if kept is None or _is_no_fact(resource):
            return
        kept.append(resource)

    def _add_medication(self, medication: Medication, full_url: str | None) -> None:
        if medication.status == "entered-in-error":
            return
        for key in (medication.id, f"Medication/{medication.id}", full_url):
            if key:
                self.medications[key] = medication


def _is_no_fact(resource: Any) -> bool:
    if getattr(resource, "status", None) in _NEVER_STATUS:
        return True
    verification = getattr(resource, "verificationStatus", None)
    return verification is not None and any(verification.has(code) for code in _NEVER_VERIFICATION)


def _candidates_by_analyte(observations: Iterable[Observation]) -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    by_loinc = ANALYTE_BY_LOINC
    for observation in observations:
        for part in (observation, *observation.component):
            for coding in part.code.coding:
                analyte = by_loinc.get(coding.code or "")
                if analyte is not None and coding.system in (LOINC, None):
                    candidate = Candidate(observation, part, coding.code or "", effective_time(observation))
                    found.setdefault(analyte.key, []).append(candidate)
                    break
    return found


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
    record = PatientRecord(patient_id, as_of)
    resources = list(_resources(prefetch.values()))
    ours = _names_of(patient_id, resources)
    seen: set[tuple[type[Any], str]] = set()
    for resource, full_url in resources:
        if not _is_ours(resource, ours, record, on_other_patient):
            continue
        if isinstance(resource, Patient):
            record.patient = record.patient or resource
            continue
        identity = (type(resource), getattr(resource, "id", None) or full_url or "")
        if identity[1] and identity in seen:
            continue  # the same resource under two keys is one fact
        seen.add(identity)
        record.add(resource, full_url)
    return record


def _resources(values: Iterable[Any]) -> Iterator[tuple[Any, str | None]]:
    for value in values:
        if isinstance(value, Bundle):
            for entry in value.entry:
                if isinstance(entry.resource, Bundle):
                    yield from _resources((entry.resource,))
                elif entry.resource is not None and not isinstance(entry.resource, OperationOutcome):
                    yield entry.resource, entry.fullUrl
        elif value is not None and not isinstance(value, OperationOutcome):
            yield value, None


def _names_of(patient_id: str, resources: Iterable[tuple[Any, str | None]]) -> frozenset[str]:
    names = {patient_id}
    for resource, full_url in resources:
        if isinstance(resource, Patient) and full_url and resource.id == patient_id:
            names.add(last_part(full_url))
    return frozenset(names)


def _is_ours(resource: Any, ours: frozenset[str], record: PatientRecord, on_other_patient: OnOtherPatient) -> bool:
    if isinstance(resource, Patient):
        if resource.id is None or resource.id in ours:
            return True
        return _other_patient(resource, record, on_other_patient)
    for subject in subject_references(resource):
        reference = subject.reference
        if reference is None or reference.startswith("#"):
            continue
        if not names_a_patient(reference):
            name = _name_of(resource)
            record.refusals.append(Refusal(name, "other-subject", f"{name} is not about a patient: not used."))
            return False
        if last_part(reference) not in ours:
            return _other_patient(resource, record, on_other_patient)
    return True


def _other_patient(resource: Any, record: PatientRecord, on_other_patient: OnOtherPatient) -> bool:
    # A Patient's id is the very thing that must not be repeated in an error.
    name = "The Patient resource" if isinstance(resource, Patient) else _name_of(resource)
    if on_other_patient == "stop":
        raise WrongPatient(name)
    record.refusals.append(Refusal(name, "other-patient", f"{name} is about another patient: not used."))
    return False


def _name_of(resource: Any) -> str:
    kind = type(resource).__struct_config__.tag
    return f"{kind}/{resource.id}" if resource.id else f"a {kind} without id"
