"""Drafted orders as the client sent them, the medications in them, and the patient's current medications."""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from cards.rules.language.trigger import TEST
from fhir.mapping.medications.active import ActiveMedication
from fhir.mapping.medications.daily_dose import DailyDose, daily_dose, instructions_of
from fhir.mapping.medications.identity import (
    MedicationIdentity,
    Medications,
    Order,
    identify,
    identify_concept,
)
from fhir.mapping.medications.sig import NO_WEIGHT
from fhir.mapping.studies import Study
from fhir.mapping.study_words import ORDERABLE_TESTS
from fhir.record.datatypes import (
    CodeableConcept,
    FhirTime,
    collapse_runs,
    with_plain_numbers,
)
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord, relative_reference, whose, without_runs
from fhir.record.resources import Medication, MedicationRequest, ServiceRequest
from fhir.record.statuses import status_of_r4
from fhir.terminology.analytes import ANALYTES, LOINC_OR_UNNAMED, analyte_of_name
from fhir.terminology.medications import CVX_SYSTEMS, VACCINE, Ingredient

# FHIR's id, and what real servers send beyond it; a slash or a blank would make another reference of it.
_ID = re.compile(r"[^\s/#?]+")

# What stands among the drafts is to be ordered, whatever its status, unless that says it is not.
_NEVER_GIVEN = frozenset({"cancelled", "entered-in-error", "stopped", "revoked", "on-hold", "completed"})

_READ = {"MedicationRequest": MedicationRequest, "ServiceRequest": ServiceRequest, "Medication": Medication}


class DraftOrder(Struct, frozen=True):
    """One entry of `draftOrders`: `resource` is the client's own JSON, `read` the lean resource, None when unreadable.

    `reference` is how the client names it ('MedicationRequest/draft-1'), None when it gave it no name.
    """

    resource: dict[str, Any]
    kind: str
    reference: str | None
    position: int
    full_url: str | None = None
    read: MedicationRequest | ServiceRequest | Medication | None = None
    fault: str | None = None
    goes_home: bool = False
    """Whether the stay that goes on is over for it: at a discharge."""
    name: str = ""
    """The name used for it in texts: its reference, else its place in the bundle, set below."""
    order: MedicationRequest | None = None
    """The medication order it is, None when it is something else, set below."""

    def __post_init__(self) -> None:
        """Take once what is asked for again and again."""
        force_setattr(self, "name", self.reference or f"draftOrders.entry[{self.position}]")
        force_setattr(self, "order", self.read if isinstance(self.read, MedicationRequest) else None)

    def is_named(self, names: Collection[str]) -> bool:
        """Whether one of the names (a reference, a bare id, a full URL or `name`) means this draft.

        A reference may name a server and a version: http://server/MedicationRequest/7/_history/2.
        """
        if self.name in names:
            return True
        own_names = {self.name, self.reference, self.full_url, (self.reference or "").partition("/")[2]}
        return any(name in own_names or relative_reference(name) == self.reference for name in names if name)


def read_draft(resource: dict[str, Any], *, full_url: str | None = None, position: int = 0) -> DraftOrder:
    """Return the draft of a resource as the client sent it; what cannot be read keeps the reason in `fault`."""
    kind = str(resource.get("resourceType", ""))
    reference = _reference(kind, resource.get("id"), full_url)
    target = _READ.get(kind)
    if target is None:
        return DraftOrder(resource, kind, reference, position, full_url)
    if isinstance(status := resource.get("status"), str):
        resource = {**resource, "status": status_of_r4(kind, status)}
    try:
        read = _convert(resource, target)
    except msgspec.ValidationError as error:
        return DraftOrder(resource, kind, reference, position, full_url, fault=str(error))
    return DraftOrder(resource, kind, reference, position, full_url, read)


def _convert(resource: dict[str, Any], target: Any) -> Any:
    try:
        return without_runs(msgspec.convert(resource, target))
    except msgspec.ValidationError:
        # An exact decimal is refused where a float is wanted; few drafts have one.
        return msgspec.convert(collapse_runs(with_plain_numbers(resource)), target)


def unread_order(draft: DraftOrder) -> "DraftMedication":
    """Return an order that cannot be read with the drug alone, where at least that can be."""
    names = ("medicationCodeableConcept", "medicationReference")
    drug = {name: draft.resource[name] for name in names if name in draft.resource}
    try:
        order = msgspec.convert({"resourceType": draft.kind, **drug}, MedicationRequest)
    except msgspec.ValidationError:
        order = MedicationRequest()
    return DraftMedication(draft, order, {})


def read_drafts(entries: Iterable[Any]) -> list[DraftOrder]:
    """Return the drafts of a Bundle's entries (JSON objects); an entry without a resource is passed over."""
    drafts = []
    for position, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            full_url = entry.get("fullUrl")
            url = full_url if isinstance(full_url, str) else None
            drafts.append(read_draft(resource, full_url=url, position=position))
    return drafts


def _reference(kind: str, identity: object, full_url: str | None) -> str | None:
    if isinstance(identity, str) and _ID.fullmatch(identity):
        return f"{kind}/{identity}"
    # A bundle may name an entry by its full URL only: http://server/MedicationRequest/7 or urn:uuid:…
    parts = (full_url or "").rsplit("/", 2)
    if len(parts) == 3 and parts[1] == kind and _ID.fullmatch(parts[2]):
        return f"{kind}/{parts[2]}"
    uuid = (full_url or "").removeprefix("urn:uuid:")
    return f"{kind}/{uuid}" if full_url != uuid and _ID.fullmatch(uuid) else None


class DraftMedication:
    """A draft that is a medication order, its medication identified; the dose is computed when first asked."""

    def __init__(
        self,
        draft: DraftOrder,
        order: MedicationRequest,
        medications: Medications,
        weigh: Callable[[], Measurement | None] = lambda: None,
    ) -> None:
        self.draft = draft
        self.order = order
        self._weigh = weigh
        self.medication: MedicationIdentity = identify(order, medications)
        prior = order.priorPrescription
        self.renews = relative_reference(prior.reference) if prior is not None else None
        self.stops = not is_to_be_given(order)
        """Whether it ends or withholds the drug."""

    @cached_property
    def dose(self) -> DailyDose:
        """The daily dose with its certainty."""
        dose = daily_dose(self.order, self.medication)
        weight = self._weigh() if dose.problem == NO_WEIGHT else None
        return dose if weight is None else daily_dose(self.order, self.medication, weight.value)

    @cached_property
    def text(self) -> str:
        """Every instruction and reason of the order, one after the other."""
        instructions = [words for dosage in instructions_of(self.order) for words in dosage.words]
        return " ".join([*instructions, *[reason.words for reason in self.order.reasonCode]])

    @property
    def categories(self) -> frozenset[str]:
        """The codes of its categories in small letters, such as inpatient."""
        listed = self.draft.resource.get("category")
        concepts = [concept for concept in listed if isinstance(concept, dict)] if isinstance(listed, list) else []
        codings = [coding for concept in concepts for coding in concept.get("coding") or () if isinstance(coding, dict)]
        return frozenset(str(coding.get("code", "")).lower() for coding in codings)


class _StudyIdentity(MedicationIdentity, frozen=True, dict=True):
    """A study in place of a medication, so that it activates rules as a drug does: by the keys of its groups."""

    @cached_property
    def name(self) -> str:
        """Its words."""
        return self.words


class DraftStudy(DraftMedication):
    """A draft that orders a study or a test. Its `order` is empty but for the reasons: nothing is to be taken."""

    def __init__(self, draft: DraftOrder, study: Study) -> None:
        self.draft = draft
        self.study = study
        request = draft.read
        self.order = MedicationRequest(reasonCode=request.reasonCode if isinstance(request, ServiceRequest) else ())
        keys = tuple(Ingredient(f"{TEST}{group}", study.words) for group in sorted(study.groups))
        self.medication = _StudyIdentity(words=study.words, ingredients=keys)
        self.renews, self.stops = None, False

    @cached_property
    def dose(self) -> DailyDose:
        """None."""
        return DailyDose()


def is_wanted_study(draft: DraftOrder) -> bool:
    """Whether a draft is an order for a test or a service that asks for it to be done."""
    request = draft.read
    return isinstance(request, ServiceRequest) and not (request.doNotPerform or request.status in _NEVER_GIVEN)


# Words of orders that look for a disease or for immunity to it: "MMR titer" is not a vaccine.
_LOOKS_FOR = re.compile(
    r"titer|titre|\big[gma]\b|antibod|serolog|immunity|\bab\b|\bpcr\b|\bnaat?\b|level|culture|screen|swab|antigen"
    r"|status|history|record|counsel|education|declin|refus|consult",
    re.IGNORECASE,
)
_GIVES = re.compile(r"\b(?:vaccinations?|immuni[sz]ations?|shots?|jabs?)\b", re.IGNORECASE)


def ordered_medication(draft: DraftOrder) -> MedicationRequest | None:
    """Return the medication that a draft asks to be given: an order of one, or a ServiceRequest for a vaccination."""
    if draft.order is not None:
        return draft.order if is_to_be_given(draft.order) else None
    request = draft.read
    if not isinstance(request, ServiceRequest) or request.code is None or not is_wanted_study(draft):
        return None
    vaccine = _vaccine_of(request.code)
    if vaccine is None:
        return None
    return MedicationRequest(
        id=request.id,
        status=request.status,
        medicationCodeableConcept=vaccine,
        authoredOn=request.authoredOn,
        reasonCode=request.reasonCode,
    )


def _vaccine_of(code: CodeableConcept) -> CodeableConcept | None:
    """Return the vaccine that the code of a ServiceRequest means, by CVX code or words; None for any other service."""
    by_code = CodeableConcept(tuple(coding for coding in code.coding if coding.system in CVX_SYSTEMS), code.words)
    words = "" if _LOOKS_FOR.search(code.words) else _GIVES.sub("vaccine", code.words)
    for concept in ([by_code] if by_code.coding else []) + ([CodeableConcept((), words)] if words else []):
        identity = identify_concept(concept)
        if identity.recognised and all(key.startswith(VACCINE) for key in identity.rxcuis):
            return concept
    return None


@dataclass(slots=True, eq=False)
class CurrentMedication:
    """A medication the patient is on, or one of the drafts (`drafted`); `ended` is its end where it is over.

    `is_uncertain` says that the chart does not tell whether it is taken.
    """

    medication: MedicationIdentity
    source: str
    since: str | None
    order: Order
    _: KW_ONLY
    drafted: DraftMedication | None = None
    ended: FhirTime | None = None
    is_uncertain: bool = False
    _dose: DailyDose | None = field(default=None, init=False)

    @classmethod
    def of_record(cls, entry: ActiveMedication) -> "CurrentMedication":
        """Return what the patient is on, or was, by the record."""
        since = entry.authored.text if entry.authored is not None else None
        return cls(entry.identity, entry.source, since, entry.order, ended=entry.ended)

    @classmethod
    def of_uncertain(cls, entry: ActiveMedication) -> "CurrentMedication":
        """Return what the patient may be on: its status is unknown."""
        medication = cls.of_record(entry)
        medication.is_uncertain = True
        return medication

    @classmethod
    def of_draft(cls, drafted: DraftMedication) -> "CurrentMedication":
        """Return what is drafted."""
        return cls(drafted.medication, drafted.draft.name, drafted.order.authoredOn, drafted.order, drafted=drafted)

    @property
    def draft(self) -> DraftOrder | None:
        """The draft that it is, None for what is on the record."""
        return self.drafted.draft if self.drafted is not None else None

    @property
    def dose(self) -> DailyDose:
        """How much of it."""
        if self._dose is None:
            drafted = self.drafted
            self._dose = drafted.dose if drafted is not None else daily_dose(self.order, self.medication)
        return self._dose


def is_beside(medication: CurrentMedication, drafted: DraftMedication) -> bool:
    """Whether it is neither the draft itself nor the order that it renews."""
    return medication.source != drafted.renews if medication.drafted is None else medication.drafted is not drafted


def is_other_name(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether they are ordered by two brands, or one by a brand and the other by the name of its drug.

    Two such orders go on beside each other: a renewal has the name of the order that it renews.
    """
    says_first, says_second = _says_its_drug(first), _says_its_drug(second)
    if says_first or says_second:
        return says_first is not says_second
    return _first_word(first) != _first_word(second)


def _says_its_drug(medication: MedicationIdentity) -> bool:
    words = medication.words.lower()
    return any(ingredient.name.lower() in words for ingredient in medication.ingredients)


def _first_word(medication: MedicationIdentity) -> str:
    return next(iter(medication.words.lower().split()), "")


def knows_medications(record: PatientRecord) -> bool:
    """Whether one of the lists of medications came with the call."""
    return record.was_requested("MedicationRequest") or record.was_requested("MedicationStatement")


def is_to_be_given(order: MedicationRequest) -> bool:
    """Whether a draft asks for the drug to be given."""
    return order.doNotPerform is not True and order.status not in _NEVER_GIVEN


def is_to_be_ended(order: MedicationRequest) -> bool:
    """Whether a draft asks for an end of the drug; a course that is completed ends as it was planned."""
    return not is_to_be_given(order) and order.status not in ("entered-in-error", "completed")


def tests_of(request: ServiceRequest) -> frozenset[str]:
    """LOINC codes of the tests that an order for a service names, by its codes and its names."""
    concept = request.code
    if concept is None:
        return frozenset()
    codes = (coding.code for coding in concept.coding if coding.system in LOINC_OR_UNNAMED and coding.code)
    analytes = (ANALYTES[key] for text in concept.texts if (key := analyte_of_name(text)) is not None)
    panels = (test.loinc for test in ORDERABLE_TESTS if any(map(test.called.search, concept.texts)))
    return frozenset({*codes, *panels}).union(*(analyte.loinc for analyte in analytes))


_WHOSE: Final = ("subject", "patient", "for")
"""Where orders of any type say whom they are for: NutritionOrder and VisionPrescription `patient`, Task `for`."""


def is_for_other_patient(draft: DraftOrder, patient_id: str) -> bool:
    """Whether the draft says that it is for another patient than this one."""
    subjects = [subject for name in _WHOSE if isinstance(subject := draft.resource.get(name), dict)]
    others = [subject.get("reference") for subject in subjects if subject.get("reference") != f"Patient/{patient_id}"]
    return any(isinstance(reference, str) and whose(reference, (patient_id,)) == "other" for reference in others)
