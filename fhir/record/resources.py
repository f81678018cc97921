"""Lean FHIR R4 types: only the elements that a feature or a rule can need, decoded in one pass over the bytes.

The decoder skips every other element. `gc=False` keeps thousands of small objects out of the garbage collector;
they hold no cycles. The full types are in `fhir.resources`; differential tests hold the two readers together.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, defstruct, field


class Element(Struct, frozen=True, gc=False):
    """Ground of the lean types."""


class Coding(Element, frozen=True, gc=False):
    """A code of a code system; `system` None means that the sender did not name one."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class CodeableConcept(Element, frozen=True, gc=False):
    """A concept as codes and text, either of which may be missing."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None

    @property
    def words(self) -> str:
        """What a person reads: the text, else the first display, else the first code, else ''."""
        if self.text:
            return self.text
        for coding in self.coding:
            if coding.display:
                return coding.display
        return self.coding[0].code or "" if self.coding else ""

    def has(self, code: str) -> bool:
        """Whether any coding carries this code, whatever its system (for closed value sets such as status codes)."""
        return any(coding.code == code for coding in self.coding)


class Symbol(Element, frozen=True, gc=False):
    """A code without its words: a chart has hundreds of Observations, and nobody reads their displays."""

    system: str | None = None
    code: str | None = None


class ObservationCode(Element, frozen=True, gc=False):
    """What was measured, as codes."""

    coding: tuple[Symbol, ...] = ()


class Subject(Element, frozen=True, gc=False):
    """A pointer to whom a resource is about."""

    reference: str | None = None


class Identifier(Element, frozen=True, gc=False):
    """A business identifier."""

    system: str | None = None
    value: str | None = None


class Reference(Element, frozen=True, gc=False):
    """A pointer to another resource."""

    reference: str | None = None
    display: str | None = None
    identifier: Identifier | None = None


class Period(Element, frozen=True, gc=False):
    """A span of time, either end of which may be open."""

    start: str | None = None
    end: str | None = None


class Quantity(Element, frozen=True, gc=False):
    """A number with its unit: `code` is for machines (UCUM), `unit` is what a person reads."""

    value: float | None = None
    comparator: str | None = None
    unit: str | None = None
    code: str | None = None


class Range(Element, frozen=True, gc=False):
    """A low and a high quantity."""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element, frozen=True, gc=False):
    """A quantity per a quantity."""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Annotation(Element, frozen=True, gc=False):
    """A note."""

    text: str | None = None


class Narrowed(Element, frozen=True, gc=False, tag_field="resourceType"):
    """Ground of the resources: told apart by `resourceType`."""


class Patient(Narrowed, frozen=True, gc=False, tag="Patient"):
    """Whom the record is about."""

    id: str | None = None
    birthDate: str | None = None
    gender: str | None = None
    deceasedBoolean: bool | None = None
    deceasedDateTime: str | None = None


class ObservationComponent(Element, frozen=True, gc=False):
    """One part of a panel, such as the systolic pressure."""

    code: ObservationCode
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None
    valueInteger: int | None = None
    dataAbsentReason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()


class Observation(Narrowed, frozen=True, gc=False, tag="Observation"):
    """A measurement or an answer."""

    status: str
    code: ObservationCode
    id: str | None = None
    subject: Subject | None = None
    effectiveDateTime: str | None = None
    effectiveInstant: str | None = None
    effectivePeriod: Period | None = None
    issued: str | None = None
    valueQuantity: Quantity | None = None
    valueCodeableConcept: CodeableConcept | None = None
    valueString: str | None = None
    valueInteger: int | None = None
    valueDateTime: str | None = None
    dataAbsentReason: CodeableConcept | None = None
    interpretation: tuple[CodeableConcept, ...] = ()
    note: tuple[Annotation, ...] = ()
    component: tuple[ObservationComponent, ...] = ()


class Condition(Narrowed, frozen=True, gc=False, tag="Condition"):
    """A problem or a diagnosis."""

    id: str | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    code: CodeableConcept | None = None
    subject: Subject | None = None
    encounter: Reference | None = None
    onsetDateTime: str | None = None
    onsetPeriod: Period | None = None
    onsetString: str | None = None
    abatementDateTime: str | None = None
    abatementPeriod: Period | None = None
    abatementString: str | None = None
    recordedDate: str | None = None


class TimingRepeat(Element, frozen=True, gc=False):
    """When an event repeats."""

    boundsDuration: Quantity | None = None
    boundsPeriod: Period | None = None
    boundsRange: Range | None = None
    count: int | None = None
    countMax: int | None = None
    frequency: int | None = None
    frequencyMax: int | None = None
    period: float | None = None
    periodMax: float | None = None
    periodUnit: str | None = None
    dayOfWeek: tuple[str, ...] = ()
    timeOfDay: tuple[str, ...] = ()
    when: tuple[str, ...] = ()


class Timing(Element, frozen=True, gc=False):
    """A schedule."""

    event: tuple[str, ...] = ()
    repeat: TimingRepeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Element, frozen=True, gc=False):
    """How much is given."""

    type: CodeableConcept | None = None
    doseQuantity: Quantity | None = None
    doseRange: Range | None = None
    rateQuantity: Quantity | None = None
    rateRange: Range | None = None
    rateRatio: Ratio | None = None


class Dosage(Element, frozen=True, gc=False):
    """How a medication is taken."""

    sequence: int | None = None
    text: str | None = None
    patientInstruction: str | None = None
    additionalInstruction: tuple[CodeableConcept, ...] = ()
    timing: Timing | None = None
    asNeededBoolean: bool | None = None
    asNeededCodeableConcept: CodeableConcept | None = None
    route: CodeableConcept | None = None
    doseAndRate: tuple[DoseAndRate, ...] = ()
    maxDosePerPeriod: Ratio | None = None


class DispenseRequest(Element, frozen=True, gc=False):
    """What the pharmacy is asked for."""

    validityPeriod: Period | None = None
    numberOfRepeatsAllowed: int | None = None
    quantity: Quantity | None = None
    expectedSupplyDuration: Quantity | None = None


class MedicationIngredient(Element, frozen=True, gc=False):
    """One ingredient of a Medication."""

    itemCodeableConcept: CodeableConcept | None = None
    itemReference: Reference | None = None
    isActive: bool | None = None
    strength: Ratio | None = None


class Medication(Narrowed, frozen=True, gc=False, tag="Medication"):
    """A product, referenced or contained."""

    id: str | None = None
    identifier: tuple[Identifier, ...] = ()
    code: CodeableConcept | None = None
    status: str | None = None
    form: CodeableConcept | None = None
    ingredient: tuple[MedicationIngredient, ...] = ()
    contained: tuple[AnyResource, ...] = ()


class MedicationRequest(Narrowed, frozen=True, gc=False, tag="MedicationRequest"):
    """An order or a prescription."""

    id: str | None = None
    status: str | None = None
    intent: str | None = None
    doNotPerform: bool | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    subject: Subject | None = None
    encounter: Reference | None = None
    authoredOn: str | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    dosageInstruction: tuple[Dosage, ...] = ()
    dispenseRequest: DispenseRequest | None = None
    priorPrescription: Reference | None = None
    contained: tuple[AnyResource, ...] = ()


class MedicationStatement(Narrowed, frozen=True, gc=False, tag="MedicationStatement"):
    """What the patient is said to take."""

    id: str | None = None
    status: str | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    subject: Subject | None = None
    effectiveDateTime: str | None = None
    effectivePeriod: Period | None = None
    dateAsserted: str | None = None
    dosage: tuple[Dosage, ...] = ()
    contained: tuple[AnyResource, ...] = ()


class MedicationDispense(Narrowed, frozen=True, gc=False, tag="MedicationDispense"):
    """What a pharmacy gave out; whether the patient takes it is not said."""

    id: str | None = None
    status: str | None = None
    medicationCodeableConcept: CodeableConcept | None = None
    medicationReference: Reference | None = None
    subject: Subject | None = None
    authorizingPrescription: tuple[Reference, ...] = ()
    quantity: Quantity | None = None
    daysSupply: Quantity | None = None
    whenPrepared: str | None = None
    whenHandedOver: str | None = None
    dosageInstruction: tuple[Dosage, ...] = ()
    contained: tuple[AnyResource, ...] = ()


class AllergyReaction(Element, frozen=True, gc=False):
    """What happened on exposure."""

    substance: CodeableConcept | None = None
    manifestation: tuple[CodeableConcept, ...] = ()
    severity: str | None = None
    onset: str | None = None
    description: str | None = None


class AllergyIntolerance(Narrowed, frozen=True, gc=False, tag="AllergyIntolerance"):
    """An allergy or an intolerance."""

    id: str | None = None
    clinicalStatus: CodeableConcept | None = None
    verificationStatus: CodeableConcept | None = None
    type: str | None = None
    category: tuple[str, ...] = ()
    criticality: str | None = None
    code: CodeableConcept | None = None
    patient: Subject | None = None
    onsetDateTime: str | None = None
    recordedDate: str | None = None
    note: tuple[Annotation, ...] = ()
    reaction: tuple[AllergyReaction, ...] = ()


class Hospitalization(Element, frozen=True, gc=False):
    """How a stay began and ended."""

    admitSource: CodeableConcept | None = None
    dischargeDisposition: CodeableConcept | None = None


class EncounterLocation(Element, frozen=True, gc=False):
    """Where the visit takes place."""

    location: Reference | None = None


class Encounter(Narrowed, frozen=True, gc=False, tag="Encounter"):
    """A visit or a stay."""

    status: str
    id: str | None = None
    class_: Coding | None = field(default=None, name="class")
    type: tuple[CodeableConcept, ...] = ()
    priority: CodeableConcept | None = None
    subject: Subject | None = None
    period: Period | None = None
    reasonCode: tuple[CodeableConcept, ...] = ()
    hospitalization: Hospitalization | None = None
    location: tuple[EncounterLocation, ...] = ()
    serviceProvider: Reference | None = None


class Procedure(Narrowed, frozen=True, gc=False, tag="Procedure"):
    """Something that was done."""

    status: str
    id: str | None = None
    code: CodeableConcept | None = None
    subject: Subject | None = None
    performedDateTime: str | None = None
    performedPeriod: Period | None = None


class ServiceRequest(Narrowed, frozen=True, gc=False, tag="ServiceRequest"):
    """An order for a test or a service."""

    id: str | None = None
    status: str | None = None
    intent: str | None = None
    doNotPerform: bool | None = None
    code: CodeableConcept | None = None
    subject: Subject | None = None
    authoredOn: str | None = None
    occurrenceDateTime: str | None = None


class OperationOutcomeIssue(Element, frozen=True, gc=False):
    """One thing that went wrong."""

    severity: str | None = None
    code: str | None = None
    details: CodeableConcept | None = None
    diagnostics: str | None = None


class OperationOutcome(Narrowed, frozen=True, gc=False, tag="OperationOutcome"):
    """What a FHIR server says instead of data."""

    issue: tuple[OperationOutcomeIssue, ...] = ()

    @property
    def says_none_found(self) -> bool:
        """Whether it only remarks on a search that found nothing: Epic sends such an entry (code 4101)."""
        return all(issue.severity in ("warning", "information") for issue in self.issue)


class BundleLink(Element, frozen=True, gc=False):
    """A page of a search."""

    relation: str | None = None
    url: str | None = None


class BundleEntry(Element, frozen=True, gc=False):
    """One resource with the address it was found at."""

    fullUrl: str | None = None
    resource: AnyResource | None = None


class BundleMeta(Element, frozen=True, gc=False):
    """When a server put a Bundle together: for a search, when it was run."""

    lastUpdated: str | None = None


class Bundle(Narrowed, frozen=True, gc=False, tag="Bundle"):
    """Several resources."""

    meta: BundleMeta | None = None
    type: str | None = None
    total: int | None = None
    link: tuple[BundleLink, ...] = ()
    entry: tuple[BundleEntry, ...] = ()


# FHIR R4 (4.0.1), resourcelist.html: the types that no feature or rule reads. They are told apart so that one of them
# in a Bundle is passed over (its patient is still checked) instead of sending the whole call down the slow way.
_UNREAD = """
Account ActivityDefinition AdverseEvent Appointment AppointmentResponse AuditEvent Basic Binary
BiologicallyDerivedProduct BodyStructure CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest
CompartmentDefinition Composition ConceptMap Consent Contract Coverage CoverageEligibilityRequest
CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric DeviceRequest DeviceUseStatement
DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Endpoint EnrollmentRequest
EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit
FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization
ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List
Location Measure MeasureReport Media MedicationAdministration MedicationKnowledge
MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication
MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence
NamingSystem NutritionOrder ObservationDefinition OperationDefinition Organization OrganizationAffiliation
Parameters PaymentNotice PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Provenance
Questionnaire QuestionnaireResponse RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition
ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis Schedule SearchParameter Slot Specimen
SpecimenDefinition StructureDefinition StructureMap Subscription Substance SubstanceNucleicAcid SubstancePolymer
SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery
SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet VerificationResult VisionPrescription
"""


class OtherResource(Narrowed, frozen=True, gc=False):
    """Ground of the types that are not read, beyond whom they are about."""

    id: str | None = None
    subject: Subject | tuple[Subject, ...] | None = None
    patient: Subject | None = None


def _unread_type(name: str) -> type[OtherResource]:
    return defstruct(name, [], bases=(OtherResource,), tag=name, frozen=True, gc=False)  # type: ignore[return-value]


_OTHERS = tuple(_unread_type(name) for name in _UNREAD.split())

READ_TYPES: tuple[type[Narrowed], ...] = (
    Patient,
    Observation,
    Condition,
    MedicationRequest,
    MedicationStatement,
    MedicationDispense,
    Medication,
    AllergyIntolerance,
    Encounter,
    Procedure,
    ServiceRequest,
    OperationOutcome,
    Bundle,
)

TYPES: dict[str, type[Narrowed]] = {str(each.__struct_config__.tag): each for each in (*READ_TYPES, *_OTHERS)}
"""Every resource type of FHIR R4 by its name."""

AnyResource: Any = None
for _type in (*READ_TYPES, *_OTHERS):
    AnyResource = _type if AnyResource is None else AnyResource | _type

decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyResource)
