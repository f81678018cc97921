"""What is read of one resource as it stands in a chart: groups of conditions, allergens, vaccines, drugs, an analyte.

The readers are those of the answers: `conditions.py` for problems and procedures, `medications/identity.py` for
drugs, `allergies.py` and `immunizations.py`. Here they are asked of a single resource, for a report to a tester and for
counting what is not understood. A resource that cannot be decoded is not understood, with the reason.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from fhir.mapping.allergies import allergen_of_resource, could_be_a_drug, problem_allergen
from fhir.mapping.condition_concepts import ConceptReading, read_concept
from fhir.mapping.immunizations import vaccine_families
from fhir.mapping.medications.daily_dose import DailyDose, daily_dose
from fhir.mapping.medications.identity import MedicationIdentity, identify, identify_medication
from fhir.mapping.studies import read_study
from fhir.mapping.tobacco import read_smoking_answer
from fhir.record.datatypes import CodeableConcept, parse_time, plain
from fhir.record.measurement import PACK_YEARS, SCREENING, UNDATED, analyte_in_words, measure, parts_by_analyte
from fhir.record.refusals import Refusal
from fhir.record.repair import repair_resource
from fhir.record.resources import (
    AllergyIntolerance,
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
)
from fhir.terminology.allergens import Allergen, allergen_of_code, allergen_of_harm, denies_allergies, unclear_allergen
from fhir.terminology.analytes import ANALYTE_BY_CODE, ANALYTES, is_panel
from fhir.terminology.conditions import CONDITION_GROUPS, imported_meaning, is_known_condition, pregnancy_meaning
from fhir.terminology.definitions import own_definitions
from fhir.terminology.imported import Meaning, meaning_of_name
from fhir.terminology.medication_names import medication_of_code
from fhir.terminology.vaccines import families_of_code

Json: TypeAlias = Mapping[str, Any]
NO_MEDICATIONS: Final[Mapping[str, Medication]] = {}


class Understanding(Struct, frozen=True, kw_only=True):
    """What was read of a resource: ids of the tables, what is said of them, and the reason where nothing was read."""

    resource: str
    groups: tuple[str, ...] = ()
    allergen_classes: tuple[str, ...] = ()
    vaccine_families: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()
    analyte: str | None = None
    dose: str = ""
    orders: tuple[str, ...] = ()
    assertion: str = "affirmed"
    understood: bool = False
    words: str = ""
    reason: str = ""
    by: tuple[str, ...] = ()
    """What it was read by: our tables or an imported source, with the code and the definition, or its words."""

    @property
    def kind(self) -> str:
        """The type of the resource."""
        return self.resource.partition("/")[0]

    @property
    def sentence(self) -> str:
        """One line for a person: what was read of the resource, or that it was not understood and why."""
        read = [*self.groups, *self.allergen_classes, *self.vaccine_families, *self.drugs, *self.orders]
        if self.analyte is not None:
            read.append(self.analyte)
        words = f" ({plain(self.words)})" if self.words else ""
        if not self.understood:
            return f"{self.resource}{words}: not understood: {self.reason}"
        stated = "" if self.assertion == "affirmed" else f" [{self.assertion}]"
        dose = f", {self.dose}" if self.dose else ""
        doubt = f" ({self.reason})" if self.reason and self.analyte is not None else ""
        imported = [source for source in self.by if not source.startswith((_TABLES, _WORDS))]
        by = f" by {'; '.join(imported)}" if imported else ""
        return f"{self.resource}{words}: {', '.join(read) or 'in none of the groups'}{dose}{stated}{doubt}{by}"


def understand(resource: Json, medications: Mapping[str, Medication] = NO_MEDICATIONS) -> Understanding:
    """Read a resource; a type that says nothing of problems, drugs, allergies or results is not understood.

    An order may name one of the `medications` of its chart, which are by Type/id.

    >>> understand({"resourceType": "Condition", "id": "1", "code": {"text": "No evidence of DVT"}}).assertion
    'negated'
    """
    kind = str(resource.get("resourceType", ""))
    name = f"{kind}/{resource['id']}" if resource.get("id") else kind
    if kind not in READ_KINDS:
        return Understanding(resource=name, reason="nothing is read of this type of resource")
    resource = repair_resource(resource)  # as answers do: single objects for lists, a status as a bare code
    try:
        reading = _medication(resource, kind, medications) if kind in _ORDERS else _READERS[kind](resource)
        return msgspec.structs.replace(reading, resource=name, by=_sources(resource, reading))
    except (msgspec.ValidationError, TypeError, AttributeError) as error:
        return Understanding(resource=name, reason=f"the resource cannot be read: {error}")


_TABLES: Final = "our tables"
_WORDS: Final = "its words"
_CODED: Final = ("code", "medicationCodeableConcept", "vaccineCode", "type", "reasonCode")


def _sources(resource: Json, reading: Understanding) -> tuple[str, ...]:
    """Return what a resource was read by, the first of its codes that says it, else its words."""
    if not reading.understood:
        return ()
    for concept in concepts_of(resource, *_CODED):
        for coding in concept.coding:
            meaning = imported_meaning(coding.system, coding.code)
            if meaning is not None:
                return (f"{meaning.by}, code {coding.code}{_definition(reading.groups, meaning)}",)
            if coding.code and is_in_tables(coding.system, coding.code):
                return (f"{_TABLES}, code {coding.code}",)
        of_name = meaning_of_name(concept.words)
        if of_name is not None:
            return (f"{of_name.by}, a name of it",)
    return (_WORDS,)


def is_in_tables(system: str | None, code: str) -> bool:
    """Whether our tables know a code, of whatever kind it is."""
    return (
        is_known_condition(system, code)
        or code in ANALYTE_BY_CODE
        or medication_of_code(system, code) is not None
        or bool(families_of_code(system, code))
        or allergen_of_code(system, code) != Allergen()
    )


def _definition(groups: Sequence[str], meaning: Meaning) -> str:
    texts = [text for group in groups if group in meaning.groups and (text := _defined().get(group)) is not None]
    return f" ({', '.join(texts)})" if texts and "SNOMED" in meaning.by else ""


@cache
def _defined() -> Mapping[str, str]:
    return {row.key: row.constraint for row in own_definitions() if row.kind == "group"}


def understand_chart(resources: Sequence[Json]) -> list[Understanding]:
    """Return what is read of each resource of a chart, whose orders may name its Medications."""
    medications: dict[str, Medication] = {}
    for resource in resources:
        if resource.get("resourceType") == "Medication":
            with suppress(msgspec.ValidationError):  # said where the resource itself is read
                medications[f"Medication/{resource.get('id')}"] = msgspec.convert(resource, Medication, strict=False)
    return [understand(resource, medications) for resource in resources]


def concepts_of(resource: Json, *elements: str) -> Iterator[CodeableConcept]:
    """Yield the concepts of these elements, each of which may be one or a list, a concept or a text."""
    for element in elements:
        value: Any = resource.get(element)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, str):
                yield CodeableConcept(text=item)
            elif isinstance(item, Mapping):
                inner = item.get("concept") if isinstance(item.get("concept"), Mapping) else item
                if {"coding", "text"} & inner.keys():  # type: ignore[union-attr]  # a Mapping
                    yield msgspec.convert(inner, CodeableConcept, strict=False)
                elif isinstance(item.get("display"), str):
                    yield CodeableConcept(text=item["display"])


_DENIED: Final = frozenset({"refuted", "entered-in-error", "not-done", "stopped", "cancelled", "revoked", "rejected"})
_AHEAD: Final = frozenset({"preparation", "planned", "proposed", "draft", "on-hold"})
_DOUBTED: Final = frozenset({"provisional", "differential", "unconfirmed"})
_PAST: Final = frozenset({"resolved", "inactive", "remission"})


def _of_concepts(resource: Json, concepts: Iterator[CodeableConcept]) -> Understanding:
    """Read concepts that say something of the patient, with the status of their resource."""
    readings: list[tuple[CodeableConcept, ConceptReading]] = [(concept, read_concept(concept)) for concept in concepts]
    groups = tuple(dict.fromkeys(meant.group for _, reading in readings for meant in reading.meant))
    words = "; ".join(concept.words for concept, _ in readings if concept.words)
    is_understood = any(reading.is_understood for _, reading in readings)
    mentions = [mention for _, reading in readings for mention in reading.mentions]
    of_groups = [mention for mention in mentions if mention.group in groups]
    assertion = (of_groups or mentions)[0].assertion.word if mentions and (of_groups or not groups) else "affirmed"
    stated = _statuses(resource)
    if stated & _DENIED:
        groups, assertion = (), "negated"
    elif stated & _AHEAD:
        groups, assertion = (), "hypothetical"
    elif stated & _DOUBTED:
        assertion = "possible"
    elif stated & _PAST or any(resource.get(name) for name in ("abatementDateTime", "abatementString")):
        groups = tuple(group for group in groups if CONDITION_GROUPS[group].history)
        assertion = "historical"
    nothing = _UNCLEAR if assertion == "unclear" else "no code of the tables and no phrase"
    reason = "" if is_understood else nothing if words else "neither a code nor a text"
    return Understanding(
        resource="", groups=groups, assertion=assertion, understood=is_understood, words=words, reason=reason
    )


_UNCLEAR: Final = "words beside the name that are not known may change what is said of it"


def _statuses(resource: Json) -> set[str]:
    """Every status that the resource states, by code or in words."""
    stated: set[str] = set()
    for element in ("status", "verificationStatus", "clinicalStatus", "lifecycleStatus"):
        value = resource.get(element)
        if isinstance(value, str):
            stated.add(value.lower())
        elif isinstance(value, Mapping):
            stated |= {str(coding.get("code", "")).lower() for coding in value.get("coding") or ()}
            stated.add(str(value.get("text") or "").lower().replace(" ", "-"))
    return stated


def _reader_of(*elements: str) -> Callable[[Json], Understanding]:
    return lambda resource: _of_concepts(resource, concepts_of(resource, *elements))


def _condition(resource: Json) -> Understanding:
    """Read a problem, and what it says that the patient is allergic to."""
    reading = _of_concepts(resource, concepts_of(resource, "code"))
    concept = next(concepts_of(resource, "code"), CodeableConcept())
    allergen = problem_allergen(concept) | allergen_of_harm(concept.words)[0]
    if reading.assertion == "negated":
        return reading
    return msgspec.structs.replace(
        reading,
        allergen_classes=tuple(sorted(allergen.allergen_classes)),
        drugs=tuple(sorted(ingredient.name for ingredient in allergen.ingredients)),
    )


def _procedure(resource: Json) -> Understanding:
    """Read what was done with the part of the body, which may be an element of its own (mastectomy, left breast)."""
    sites = " ".join(concept.words for concept in concepts_of(resource, "bodySite"))
    concepts = list(concepts_of(resource, "code"))
    if sites:
        concepts += [CodeableConcept(text=f"{sites} {concept.words}") for concept in concepts]
    return _of_concepts(resource, iter((*concepts, *concepts_of(resource, "reasonCode"))))


def _family(resource: Json) -> Understanding:
    concepts = [concept for item in resource.get("condition") or () for concept in concepts_of(item, "code")]
    reading = _of_concepts(resource, iter(concepts))
    return msgspec.structs.replace(reading, groups=(), assertion="family")


def _device(resource: Json) -> Understanding:
    names = [CodeableConcept(text=str(name.get("name", ""))) for name in resource.get("deviceName") or ()]
    return _of_concepts(resource, iter((*concepts_of(resource, "type", "device", "reasonCode"), *names)))


def _plan(resource: Json) -> Understanding:
    details = [activity.get("detail") or {} for activity in resource.get("activity") or ()]
    activities = [concept for detail in details for concept in concepts_of(detail, "code")]
    return _of_concepts(
        resource, iter((*concepts_of(resource, "title", "description", "category", "addresses"), *activities))
    )


def _coverage(resource: Json) -> Understanding:
    classes = [CodeableConcept(text=str(item.get("name", ""))) for item in resource.get("class") or ()]
    return _of_concepts(resource, iter((*concepts_of(resource, "type"), *classes)))


def _consent(resource: Json) -> Understanding:
    provision = resource.get("provision") or {}
    return _of_concepts(resource, iter((*concepts_of(resource, "category", "scope"), *concepts_of(provision, "code"))))


def _observation(resource: Json) -> Understanding:
    """Read a result by its analyte, and a finding by its code and value."""
    observation = msgspec.convert(resource, Observation, strict=False)
    code = next(concepts_of(resource, "code"), CodeableConcept())
    codings = [*code.coding]
    for part in observation.component:  # of a pressure: two
        codings += part.code.coding if part.code is not None else ()
    loincs = [coding.code for coding in codings]
    analyte = next((ANALYTE_BY_CODE[loinc].key for loinc in loincs if loinc in ANALYTE_BY_CODE), None)
    doubt = ""
    if not PACK_YEARS.isdisjoint(loincs):
        analyte = SCREENING
    elif analyte is None:
        parts = (analyte_in_words(observation, part) for part in observation.component if is_panel(code.texts))
        analyte = analyte_in_words(observation) or next(filter(None, parts), None)
        meanings = (imported_meaning(coding.system, coding.code) for coding in code.coding)
        is_named = analyte is not None and not any(meaning.analyte for meaning in meanings if meaning is not None)
        doubt = "read by its name: no code of it is in the tables" if is_named else ""
    words = code.words
    groups, assertion = _finding(observation, code, resource)
    refusal = _refusal(observation, analyte) if analyte is not None else ""
    return Understanding(
        resource="", groups=groups, analyte=analyte, assertion=assertion, words=words,
        understood=bool(groups or (analyte and not refusal) or assertion != "affirmed"),
        reason=refusal or (doubt if groups or analyte else "no test of the tables and no finding"),
    )  # fmt: skip


_UNUSABLE: Final = frozenset({"implausible", "unknown-unit", "no-unit", "unit-conflict", "name-conflict"})
_ANY_TIME: Final = parse_time("2000-01-01")


def _refusal(observation: Observation, analyte: str) -> str:
    """Say why no rule can use the number: a unit that is none of the analyte, or a value that is not possible in it."""
    if ANALYTES[analyte].kind not in ("lab", "vital"):
        return ""  # dates, answers and questions are no numbers of the analyte
    for key, parts in parts_by_analyte([observation]).items():
        refusal = measure(ANALYTES[analyte], parts[0], UNDATED, _ANY_TIME) if key == analyte else None
        if isinstance(refusal, Refusal) and refusal.reason in _UNUSABLE:
            return refusal.statement
    return ""


_PREFERENCES: Final = frozenset({"75773-2", "81378-2", "95541-9", "86645-9"})
"""What a patient wishes for, not what is so: preferences of treatment and of care, pregnancy intention (US Core)."""


_SMOKING: Final = "72166-2"
_ANSWERS: Final = {"current": ("tobacco_use",), "former": ("tobacco_history",)}


def _finding(observation: Observation, code: CodeableConcept, resource: Json) -> tuple[tuple[str, ...], str]:
    answer = next(concepts_of(resource, "valueCodeableConcept", "valueString"), None)
    if any(coding.code in _PREFERENCES for coding in code.coding):
        return (), "hypothetical"
    if any(coding.code == _SMOKING for coding in code.coding):
        status = read_smoking_answer(observation)[0]
        return _ANSWERS.get(status or "", ()), "negated" if status in ("never", "not current") else "affirmed"
    meanings = {pregnancy_meaning(coding.system, coding.code) for coding in code.coding}
    if meanings & {"due", "gestation"}:
        return ("pregnancy",), "affirmed"
    if meanings & {"status", "hcg"} and answer is not None:
        answers = {pregnancy_meaning(coding.system, coding.code) for coding in answer.coding}
        is_pregnant = "positive" in answers or answer.words.strip().lower() in ("positive", "pregnant", "yes")
        return (("pregnancy",), "affirmed") if is_pregnant else ((), "negated")
    if resource.get("valueBoolean") is False:
        return (), "negated"
    readings = [read_concept(concept) for concept in (answer, code) if concept is not None]
    if answer is None and resource.get("valueBoolean") is not True:
        return (), "affirmed"  # the name of a test is no finding
    groups = tuple(dict.fromkeys(meant.group for reading in readings[:1] for meant in reading.meant))
    return groups, "affirmed"


def _medication(resource: Json, kind: str, medications: Mapping[str, Medication]) -> Understanding:
    order = msgspec.convert(resource, _ORDERS[kind], strict=False)
    identity = identify_medication(order) if isinstance(order, Medication) else identify(order, medications)
    names = tuple(ingredient.name for ingredient in identity.ingredients)
    return Understanding(
        resource="",
        groups=_of_concepts({}, concepts_of(resource, "reasonCode")).groups,
        drugs=names,
        dose="" if isinstance(order, Medication) or not names else _dose_words(daily_dose(order, identity), identity),
        words=identity.words,
        understood=bool(names),
        reason=identity.doubt or ("" if names else "no drug of the tables is named"),
    )


def _dose_words(dose: DailyDose, identity: MedicationIdentity) -> str:
    """Return the dose of a day as it is read, or why it is not known."""
    names = {ingredient.rxcui: ingredient.name for ingredient in identity.ingredients}
    parts = [f"{names[part.rxcui]} {_range(part.low, part.high)} mg a day" for part in dose.per_day]
    if not parts and dose.activity is not None and dose.activity.per_day is not None:
        parts = [f"{dose.activity.per_day:g} {dose.activity.unit} a day"]
    return "; ".join(parts) or f"dose not known: {dose.problem}"


def _range(low: float, high: float) -> str:
    return f"{high:g}" if low == high else f"{low:g} to {high:g}"


def _service(resource: Json) -> Understanding:
    """Read an order of imaging or of a test by its code and words, and the reasons it is ordered for."""
    reading = _of_concepts(resource, concepts_of(resource, "reasonCode"))
    study = read_study(resource)
    words = "; ".join(dict.fromkeys(filter(None, (study.words, reading.words))))
    understood = reading.understood or bool(study.groups)
    reason = "" if understood else "no imaging and no test that a rule is about" if words else reading.reason
    return msgspec.structs.replace(
        reading, words=words, understood=understood, reason=reason, orders=tuple(sorted(study.groups))
    )


def _allergy(resource: Json) -> Understanding:
    allergy = msgspec.convert(resource, AllergyIntolerance, strict=False)
    allergen = allergen_of_resource(allergy)
    concept = allergy.code or CodeableConcept()
    classes, families = allergen.allergen_classes, vaccine_families(concept)
    names_one = bool(allergen.ingredients or allergen.classes or classes or families)
    in_words = not names_one and denies_allergies(concept.words)
    denied = in_words or bool(_statuses(resource) & _DENIED)
    is_unclear = not names_one and unclear_allergen(concept.words) != Allergen()
    is_read = names_one or in_words or (bool(concept.words) and not could_be_a_drug(allergy, allergen))
    return Understanding(
        resource="",
        allergen_classes=() if denied else tuple(sorted(classes)),
        vaccine_families=() if denied else tuple(sorted(families)),
        drugs=() if denied else tuple(sorted(ingredient.name for ingredient in allergen.ingredients)),
        assertion="negated" if denied else "unclear" if is_unclear else "affirmed",
        understood=is_read,
        words=concept.words,
        reason="" if is_read else _UNCLEAR if is_unclear else "no drug, class or vaccine of the tables is named",
    )


def _immunization(resource: Json) -> Understanding:
    concept = next(concepts_of(resource, "vaccineCode"), CodeableConcept())
    families, denied = vaccine_families(concept, is_vaccine=True), bool(_statuses(resource) & _DENIED)
    return Understanding(
        resource="",
        vaccine_families=() if denied else tuple(sorted(families)),
        assertion="negated" if denied else "affirmed",
        understood=bool(families),
        words=concept.words,
        reason="" if families else "no vaccine of the tables is named",
    )


_READERS: Final[Mapping[str, Callable[[Json], Understanding]]] = {
    "Condition": _condition,
    "Procedure": _procedure,
    "FamilyMemberHistory": _family,
    "Observation": _observation,
    "Device": _device,
    "DeviceUseStatement": _device,
    "Flag": _reader_of("code"),
    "CarePlan": _plan,
    "Goal": _reader_of("description", "addresses"),
    "DocumentReference": _reader_of("type", "category", "description"),
    "Coverage": _coverage,
    "Consent": _consent,
    "Encounter": _reader_of("reasonCode"),
    "ServiceRequest": _service,
    "AllergyIntolerance": _allergy,
    "Immunization": _immunization,
}


_ORDERS: Final[Mapping[str, Any]] = {
    "MedicationRequest": MedicationRequest,
    "MedicationStatement": MedicationStatement,
    "MedicationDispense": MedicationDispense,
    "MedicationAdministration": MedicationAdministration,
    "Medication": Medication,
}
READ_KINDS: Final = frozenset({*_READERS, *_ORDERS})
"""The types of resources of which something is read."""
