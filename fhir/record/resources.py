"""Lean FHIR R4 types: only the elements that a feature or a rule can need, decoded in one pass over the bytes.

The decoder skips every other element. `gc=False` keeps thousands of small objects out of the garbage collector;
they hold no cycles. The full types are in `fhir.resources`; differential tests hold the two readers together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from msgspec import defstruct, field
from msgspec.structs import force_setattr

from fhir.record.datatypes import (
    Annotation,
    BackboneElement,
    ChartResource,
    ChartText,
    CodeableConcept,
    Coding,
    Dosage,
    DoseAndRate,
    Element,
    FhirTime,
    Identifier,
    LeanResource,
    Period,
    Quantity,
    R4Concept,
    Range,
    Ratio,
    Reference,
    Subject,
    Version,
    parse_time,
)
from fhir.record.opting_out import Consent, Flag

OtherForm: TypeAlias = None
"""The type of an element of DSTU2, STU3 or R5: the decoder rejects it, and `repair.py` reads it as R4 has it."""


class SubjectResource(ChartResource, frozen=True, gc=False, kw_only=True):
    """Base class of the resources that name whom they are about as their `subject`."""

    subject: Subject | None = None


class MedicationEvent(SubjectResource, frozen=True, gc=False, kw_only=True):
    """Base class of what is ordered, reported, dispensed or given: its status and its medication."""

    status: ChartText | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    medication: OtherForm = None
    contained: tuple[AnyResource, ...] = ()


class Address(Element, frozen=True, gc=False):
    """An address, of which the country is read."""

    country: ChartText | None = None


class ExtensionPart(Element, frozen=True, gc=False):
    """A part of an extension, such as a category of race, or the kind of a sex that was recorded."""

    url: str = ""
    valueCoding: Coding | None = None
    valueCodeableConcept: CodeableConcept | None = None


class PatientExtension(Element, frozen=True, gc=False):
    """An extension of a Patient, such as the place of birth, or the parts of race."""

    url: str = ""
    valueAddress: Address | None = None
    valueCode: ChartText | None = None
    valueCodeableConcept: CodeableConcept | None = None
    extension: tuple[ExtensionPart, ...] = ()


class SecurityLabels(Version, frozen=True, gc=False):
    """The `meta` of a Patient: its version and its security labels."""

    security: tuple[Coding, ...] = ()


class Patient(ChartResource, frozen=True, gc=False, tag="Patient"):
    """The patient: birth date, sex, death, place of birth and security labels."""

    birthDate: ChartText | None = None
    gender: ChartText | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: ChartText | None = None
    extension: tuple[PatientExtension, ...] = ()
    meta: SecurityLabels | None = None


class ObservationComponent(BackboneElement, frozen=True, gc=False):
    """One part of a panel, such as the systolic pressure."""

    code: CodeableConcept
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: ChartText | None = None
    valueInteger: int | None = None
    valueDateTime: ChartText | None = None
    valueRange: Range | None = None
    valueRatio: Ratio | None = None
    dataAbsentReason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()


class Observation(SubjectResource, frozen=True, gc=False, tag="Observation"):
    """A measurement or an answer."""

    status: ChartText
    code: CodeableConcept
    effectiveDateTime: ChartText | None = None
    effectiveInstant: ChartText | None = None
    effectivePeriod: Period | None = None
    issued: ChartText | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: ChartText | None = None
    valueInteger: int | None = None
    valueBoolean: bool | None = None
    valueDateTime: ChartText | None = None
    valueRange: Range | None = None
    valueRatio: Ratio | None = None
    dataAbsentReason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()
    component: tuple[ObservationComponent, ...] = ()
    bodySite: CodeableConcept | None = None
    specimen: Reference | None = None
    contained: tuple[AnyResource, ...] = ()


class Condition(SubjectResource, frozen=True, gc=False, tag="Condition"):
    """A problem or a diagnosis."""

    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    code: CodeableConcept | None = None
    encounter: Reference | None = None
    onsetDateTime: ChartText | None = None
    onsetPeriod: Period | None = None
    onsetString: ChartText | None = None
    abatementDateTime: ChartText | None = None
    abatementPeriod: Period | None = None
    abatementAge: Quantity | None = None
    abatementRange: Element | None = None
    abatementString: ChartText | None = None
    recordedDate: ChartText | None = None


class DispenseRequest(BackboneElement, frozen=True, gc=False):
    """What a prescription asks the pharmacy to dispense."""

    validityPeriod: Period | None = None
    numberOfRepeatsAllowed: int | None = None
    quantity: Quantity | None = None
    expectedSupplyDuration: Quantity | None = None


class MedicationIngredient(BackboneElement, frozen=True, gc=False):
    """One ingredient of a Medication."""

    itemCodeableConcept: CodeableConcept | None = None
    itemReference: Reference | None = None
    isActive: bool | None = None
    strength: Ratio | None = None


class Medication(ChartResource, frozen=True, gc=False, tag="Medication"):
    """A product, referenced or contained."""

    identifier: tuple[Identifier, ...] = ()
    code: CodeableConcept | None = None
    status: ChartText | None = None
    form: CodeableConcept | None = None
    ingredient: tuple[MedicationIngredient, ...] = ()
    contained: tuple[AnyResource, ...] = ()


class MedicationRequest(MedicationEvent, frozen=True, gc=False, tag="MedicationRequest"):
    """An order or a prescription."""

    intent: ChartText | None = None
    doNotPerform: bool | None = None
    reportedBoolean: bool | None = None
    reportedReference: Reference | None = None
    encounter: Reference | None = None
    authoredOn: ChartText | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    statusReason: CodeableConcept | None = None
    note: tuple[Annotation, ...] = ()
    dosageInstruction: tuple[Dosage, ...] = ()
    dispenseRequest: DispenseRequest | None = None
    priorPrescription: Reference | None = None

    @property
    def is_only_proposed(self) -> bool:
        """Whether nobody has ordered it, as in a ServiceRequest."""
        return self.intent in ("proposal", "option")

    @property
    def is_reported(self) -> bool:
        """Whether it tells of an order or of a medicine that was reported, as by the patient."""
        return self.reportedBoolean is True or self.reportedReference is not None


class MedicationStatement(MedicationEvent, frozen=True, gc=False, tag="MedicationStatement"):
    """A medication that the patient is reported to take."""

    statusReason: tuple[CodeableConcept, ...] = ()
    effectiveDateTime: ChartText | None = None
    effectivePeriod: Period | None = None
    dateAsserted: ChartText | None = None
    wasNotTaken: OtherForm = None
    taken: OtherForm = None
    note: tuple[Annotation, ...] = ()
    dosage: tuple[Dosage, ...] = ()

    @property
    def dosageInstruction(self) -> tuple[Dosage, ...]:  # noqa: N802 - as orders call it
        """How it is taken, under the name that orders have for it."""
        return self.dosage


class MedicationDispense(MedicationEvent, frozen=True, gc=False, tag="MedicationDispense"):
    """A medication that a pharmacy dispensed; it does not say whether the patient takes it."""

    authorizingPrescription: tuple[Reference, ...] = ()
    quantity: Quantity | None = None
    daysSupply: Quantity | None = None
    whenPrepared: ChartText | None = None
    whenHandedOver: ChartText | None = None
    notDone: OtherForm = None
    dosageInstruction: tuple[Dosage, ...] = ()


class AdministeredDosage(BackboneElement, frozen=True, gc=False):
    """How much of a medication was given, and by which route."""

    text: ChartText = ""
    route: CodeableConcept | None = None
    dose: Quantity | None = None


class MedicationAdministration(MedicationEvent, frozen=True, gc=False, tag="MedicationAdministration"):
    """A medication that was given to the patient, or is being given."""

    effectiveDateTime: ChartText | None = None
    effectivePeriod: Period | None = None
    request: Reference | None = None
    notGiven: OtherForm = None
    wasNotGiven: OtherForm = None
    dosage: AdministeredDosage | None = None

    @property
    def dosageInstruction(self) -> tuple[Dosage, ...]:  # noqa: N802 - as orders call it
        """The dose that was given, as an instruction without a frequency."""
        given = self.dosage
        if given is None:
            return ()
        rates = (DoseAndRate(doseQuantity=given.dose),) if given.dose is not None else ()
        return (Dosage(text=given.text, route=given.route, doseAndRate=rates),)


class AllergyReaction(BackboneElement, frozen=True, gc=False):
    """A reaction to the substance."""

    substance: CodeableConcept | None = None
    manifestation: tuple[R4Concept, ...] = ()
    severity: ChartText | None = None
    onset: ChartText | None = None
    description: ChartText = ""


class AllergyIntolerance(ChartResource, frozen=True, gc=False, tag="AllergyIntolerance"):
    """An allergy or an intolerance; one of DSTU2 has its `substance` for a code and its `status` for both statuses."""

    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    type: ChartText | None = None
    category: tuple[ChartText, ...] = ()
    criticality: ChartText | None = None
    code: CodeableConcept | None = None
    patient: Subject | None = None
    onsetDateTime: ChartText | None = None
    recordedDate: ChartText | None = None
    lastOccurrence: ChartText | None = None
    note: tuple[Annotation, ...] = ()
    reaction: tuple[AllergyReaction, ...] = ()
    substance: CodeableConcept | None = None
    status: ChartText | None = None

    def __post_init__(self) -> None:
        if self.code is None and self.substance is not None:
            force_setattr(self, "code", self.substance)
            is_clinical = (self.status or "active").lower() in ("active", "inactive", "resolved")
            status = CodeableConcept(coding=(Coding(code=self.status or "active"),))
            force_setattr(self, "clinicalStatus" if is_clinical else "verificationStatus", status)


class Hospitalization(BackboneElement, frozen=True, gc=False):
    """How the patient was admitted and discharged."""

    admitSource: CodeableConcept | None = None
    dischargeDisposition: CodeableConcept | None = None
    destination: Reference | None = None


class EncounterLocation(BackboneElement, frozen=True, gc=False):
    """Where the visit takes place."""

    location: Reference | None = None


class Encounter(SubjectResource, frozen=True, gc=False, tag="Encounter"):
    """A visit or a stay."""

    status: ChartText
    class_: Coding | None = field(default=None, name="class")
    type: tuple[CodeableConcept, ...] = ()
    serviceType: CodeableConcept | None = None
    priority: CodeableConcept | None = None
    period: Period | None = None
    actualPeriod: OtherForm = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    hospitalization: Hospitalization | None = None
    location: tuple[EncounterLocation, ...] = ()
    serviceProvider: Reference | None = None

    @property
    def class_code(self) -> str | None:
        """The code of its class, such as AMB; None where it has none."""
        return self.class_.code if self.class_ is not None else None

    @property
    def begun(self) -> FhirTime | None:
        """When it began, where that is said and can be read."""
        return self.period.begin if self.period is not None else None


class Procedure(SubjectResource, frozen=True, gc=False, tag="Procedure"):
    """A procedure that was performed, or was not (`status` not-done, with the reason)."""

    status: ChartText
    statusReason: CodeableConcept | None = None
    code: CodeableConcept | None = None
    performedDateTime: ChartText | None = None
    performedPeriod: Period | None = None
    occurrenceDateTime: OtherForm = None
    occurrencePeriod: OtherForm = None
    notDone: OtherForm = None
    notPerformed: OtherForm = None
    outcome: CodeableConcept | None = None
    note: tuple[Annotation, ...] = ()

    @property
    def performed(self) -> FhirTime | None:
        """When it was done, or began where it took a while."""
        period = self.performedPeriod
        return parse_time(self.performedDateTime or (period.start if period is not None else None))

    @property
    def finished(self) -> FhirTime | None:
        """When it was done, or was over where it took a while."""
        period = self.performedPeriod
        return parse_time(self.performedDateTime or (period.end or period.start if period is not None else None))


class DiagnosticReport(SubjectResource, frozen=True, gc=False, tag="DiagnosticReport"):
    """The report of a study or of a laboratory test."""

    status: ChartText | None = None
    code: CodeableConcept | None = None
    effectiveDateTime: ChartText | None = None
    effectivePeriod: Period | None = None
    issued: ChartText | None = None
    conclusion: ChartText | None = None
    conclusionCode: tuple[CodeableConcept, ...] = ()
    contained: tuple[AnyResource, ...] = ()


class ServiceRequest(SubjectResource, frozen=True, gc=False, tag="ServiceRequest"):
    """An order for a test or a service."""

    status: ChartText | None = None
    intent: ChartText | None = None
    doNotPerform: bool | None = None
    code: R4Concept | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    authoredOn: ChartText | None = None
    occurrenceDateTime: ChartText | None = None
    performerType: CodeableConcept | None = None
    note: tuple[Annotation, ...] = ()

    @property
    def is_only_proposed(self) -> bool:
        """Whether nobody has ordered it: somebody or a program proposes it, or it is one of several choices."""
        return self.intent in ("proposal", "option")


class AppointmentParticipant(BackboneElement, frozen=True, gc=False):
    """Who takes part in an appointment: the patient among others."""

    actor: Subject | None = None


class Appointment(SubjectResource, frozen=True, gc=False, tag="Appointment"):
    """A visit that is booked. Whose it is, R4 says among the participants and R5 as `subject`."""

    status: ChartText | None = None
    description: ChartText = ""
    serviceType: tuple[CodeableConcept, ...] = ()
    appointmentType: CodeableConcept | None = None
    start: ChartText | None = None
    participant: tuple[AppointmentParticipant, ...] = ()


class Coverage(ChartResource, frozen=True, gc=False, tag="Coverage"):
    """An insurance; only who pays is looked up by it, a payer's service reads the client's own JSON."""

    payor: tuple[Reference, ...] = ()


class Immunization(ChartResource, frozen=True, gc=False, tag="Immunization"):
    """A vaccine dose that was given, or was not (`status` not-done)."""

    status: ChartText | None = None
    statusReason: CodeableConcept | None = None
    vaccineCode: CodeableConcept | None = None
    patient: Subject | None = None
    occurrenceDateTime: ChartText | None = None
    occurrenceString: ChartText | None = None
    manufacturer: Reference | None = None
    expirationDate: ChartText | None = None
    isSubpotent: bool | None = None
    notGiven: OtherForm = None
    wasNotGiven: OtherForm = None


class DeviceName(BackboneElement, frozen=True, gc=False):
    """A name of a device."""

    name: ChartText = ""


class Device(ChartResource, frozen=True, gc=False, tag="Device"):
    """A device of the patient: an implant, or one that is only used; `safety` may say whether it bears an MR scan."""

    status: ChartText | None = None
    type: CodeableConcept | None = None
    deviceName: tuple[DeviceName, ...] = ()
    name: OtherForm = None
    modelNumber: ChartText | None = None
    patient: Subject | None = None
    safety: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()


class CodedPart(BackboneElement, frozen=True, gc=False):
    """A part of a resource of which the code is read: what an activity is, or what a relative has or had."""

    code: CodeableConcept | None = None


class PlannedActivity(BackboneElement, frozen=True, gc=False):
    """An activity of a plan of care."""

    detail: CodedPart | None = None


class CarePlan(SubjectResource, frozen=True, gc=False, tag="CarePlan"):
    """A plan of care, such as hospice care."""

    status: ChartText | None = None
    title: ChartText = ""
    category: tuple[CodeableConcept, ...] = ()
    period: Period | None = None
    activity: tuple[PlannedActivity, ...] = ()


class FamilyMemberHistory(ChartResource, frozen=True, gc=False, tag="FamilyMemberHistory"):
    """What is known of the health of one relative."""

    status: ChartText | None = None
    patient: Subject | None = None
    relationship: CodeableConcept | None = None
    condition: tuple[CodedPart, ...] = ()


class DocumentReference(SubjectResource, frozen=True, gc=False, tag="DocumentReference"):
    """A document of the chart, of which only the kind is read: a living will, an order not to resuscitate."""

    status: ChartText | None = None
    type: CodeableConcept | None = None
    description: ChartText = ""
    date: ChartText | None = None


class PractitionerRole(ChartResource, frozen=True, gc=False, tag="PractitionerRole"):
    """What somebody works as; of the user of a call it decides which orders are offered. It is no part of a chart."""

    active: bool | None = None
    period: Period | None = None
    practitioner: Reference | None = None
    code: tuple[CodeableConcept, ...] = ()
    specialty: tuple[CodeableConcept, ...] = ()


class OperationOutcomeIssue(Element, frozen=True, gc=False):
    """One issue of an OperationOutcome."""

    severity: ChartText | None = None
    code: ChartText | None = None
    details: CodeableConcept | None = None
    diagnostics: ChartText | None = None


class OperationOutcome(LeanResource, frozen=True, gc=False, tag="OperationOutcome"):
    """What a FHIR server returns in place of data."""

    issue: tuple[OperationOutcomeIssue, ...] = ()

    @property
    def says_none_found(self) -> bool:
        """Whether it only remarks on a search that found nothing: Epic sends such an entry (code 4101)."""
        return all(issue.severity in ("warning", "information") for issue in self.issue)


class BundleLink(Element, frozen=True, gc=False):
    """A link of a Bundle, such as the next page of a search."""

    relation: ChartText | None = None
    url: str = ""


class EntryResponse(Element, frozen=True, gc=False):
    """How a server answered one request of a batch; some write the code of the status as a number."""

    status: ChartText | int = ""
    outcome: OperationOutcome | None = None


class BundleEntry(Element, frozen=True, gc=False):
    """One resource with the address it was found at, or the answer to one request of a batch."""

    fullUrl: str | None = None
    resource: AnyResource | None = None
    response: EntryResponse | None = None

    @property
    def has_failed(self) -> bool:
        """Whether it tells of an error in place of data, or beside it: by its resource or by its response."""
        response = self.response
        outcomes = (self.resource, response.outcome if response is not None else None)
        if any(isinstance(outcome, OperationOutcome) and not outcome.says_none_found for outcome in outcomes):
            return True
        return response is not None and str(response.status).lstrip().startswith(("4", "5"))


class Bundle(LeanResource, frozen=True, gc=False, tag="Bundle"):
    """A Bundle of resources."""

    type: ChartText | None = None
    total: int | None = None
    link: tuple[BundleLink, ...] = ()
    entry: tuple[BundleEntry, ...] = ()


# The other types of FHIR R4 (4.0.1, resourcelist.html), which no feature or rule reads. They are told apart so that one
# of them in a Bundle is passed over (its patient is still checked) instead of sending the whole call down the slow way.
_UNREAD = Path(__file__).with_name("unread_types.txt").read_text("ascii").split()


class OtherResource(LeanResource, frozen=True, gc=False):
    """Base class of the resource types of which only the subject is read."""

    id: str | None = None
    subject: Subject | tuple[Subject, ...] | None = None
    patient: Subject | None = None


def _unread_type(name: str) -> type[OtherResource]:
    return defstruct(name, [], bases=(OtherResource,), tag=name, frozen=True, gc=False)  # type: ignore[return-value]


_OTHERS = tuple(_unread_type(name) for name in _UNREAD)

READ_TYPES: tuple[type[LeanResource], ...] = (
    Patient,
    Observation,
    Condition,
    MedicationRequest,
    MedicationStatement,
    MedicationDispense,
    MedicationAdministration,
    Medication,
    AllergyIntolerance,
    Encounter,
    Procedure,
    DiagnosticReport,
    ServiceRequest,
    Appointment,
    Coverage,
    Immunization,
    Device,
    CarePlan,
    DocumentReference,
    FamilyMemberHistory,
    Consent,
    Flag,
    PractitionerRole,
    OperationOutcome,
    Bundle,
)

TYPES: dict[str, type[LeanResource]] = {str(struct.__struct_config__.tag): struct for struct in (*READ_TYPES, *_OTHERS)}
"""Every resource type of FHIR R4 by its name."""

AnyResource: Any = None
for _type in (*READ_TYPES, *_OTHERS):
    AnyResource = _type if AnyResource is None else AnyResource | _type

decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyResource)
