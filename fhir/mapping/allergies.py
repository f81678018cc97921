"""The drug allergies and intolerances of a patient, with their severity, and whether a drug or class is among them.

What an allergy's code or words mean, ingredients or classes of drugs, is in tables/allergens.csv and the drug tables.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from fhir.mapping.conditions import doubt_of, words_and_code
from fhir.mapping.immunizations import vaccine_families
from fhir.record.datatypes import Annotation, CodeableConcept, FhirTime, first_few, parse_time
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.record.resources import AllergyIntolerance, Condition
from fhir.terminology.allergens import (
    ALLERGEN_CLASSES,
    Allergen,
    allergen_of_harm,
    allergen_of_problem,
    allergen_of_words,
    denies_allergies,
    read_allergens,
    unclear_allergen,
)
from fhir.terminology.assertions import AssertedText
from fhir.terminology.caching import remembered
from fhir.terminology.conditions import is_known_condition
from fhir.terminology.medications import CLASS_MEMBERS, table_rows

ALLERGIES_UNREADABLE = "allergies-unreadable"
_MOST_NAMED = 3


def reaction_words(code: str | None) -> str | None:
    """Return what a SNOMED CT code of a manifestation says, where the chart gives no words."""
    return _REACTIONS_BY_CODE.get(code or "")


_REACTIONS: Final = tuple(row for row in table_rows("allergens.csv") if row["kind"] == "reaction")
_REACTIONS_BY_CODE: Final[Mapping[str, str]] = {row["code"]: row["value"] for row in _REACTIONS}
_REACTIONS_IN_ENGLISH: Final = tuple(
    (re.compile(rf"(?:{row['code']})\w{{0,30}}(?:['’]s)?(?: (?:up|o?edema|schock))?", re.IGNORECASE), row["value"])
    for row in _REACTIONS
    if row["meaning"] == "pattern"
)


Severity: TypeAlias = Literal["critical", "warning", "info"]
Grade: TypeAlias = Literal["severe", "mild", "unknown"]

_PATTERNS: Final = {
    row["value"]: re.compile(row["code"], re.IGNORECASE)
    for row in table_rows("allergens.csv")
    if row["kind"] == "words"
}
_CRITICAL, _NO_ALLERGY, _MILD, _OTHER = map(_PATTERNS.__getitem__, ("critical", "no_allergy", "mild", "other"))
_NO_DRUG: Final = _PATTERNS["no_drug"]
"""What stands on lists of allergies without a category and is no drug."""
_UNSURE = re.compile(r"\?|\b(?:possible|possibly|questionable|suspected|unsure|unclear|maybe)\b", re.IGNORECASE)


class _Reaction(Struct, frozen=True, gc=False):
    """What the words of a reaction name."""

    is_critical: bool
    is_no_allergy: bool
    is_mild: bool


def _reaction(words: str) -> _Reaction:
    words = AssertedText(words, of="reaction").without_denied(words)
    critical, mild = _CRITICAL.search(words) is not None, _MILD.search(words) is not None
    return _Reaction(critical, _NO_ALLERGY.search(words) is not None and not mild, mild)


_LOWER: dict[Severity, Severity] = {"critical": "warning", "warning": "info", "info": "info"}


class Allergy(Struct, frozen=True, gc=False):
    """A drug allergy or intolerance: the drugs, the words of the chart, the severity, the date and the resource.

    `kind` is None when the chart does not say which of the two it is: then it counts as an allergy. `severity` is that
    of the rule table, lowered where criticality is low, where it is an intolerance, or where the words are unsure;
    `grade` is how bad the reaction itself was. `reactions` are the manifestations, else the words of the entry.
    `is_harm` where the problem list tells it: "pancreatitis due to azathioprine".
    """

    allergen: Allergen
    words: str
    source: str
    kind: Literal["allergy", "intolerance"] | None
    severity: Severity
    grade: Grade
    reactions: tuple[str, ...] = ()
    criticality: str | None = None
    is_unsure: bool = False
    recorded: FhirTime | None = None
    is_harm: bool = False
    reacted: FhirTime | None = None
    """When the reaction was, as far as the chart says it; `recorded` is when somebody wrote it down, else this."""

    @property
    def is_intolerance(self) -> bool:
        """Whether the chart says that it is an intolerance, not an allergy."""
        return self.kind == "intolerance"

    @property
    def is_rash_only(self) -> bool:
        """Whether hives, a rash or itching are the only reactions."""
        return bool(self.reactions) and all(
            reaction.is_mild and not reaction.is_critical for reaction in map(_reaction, self.reactions)
        )

    @property
    def is_no_allergy(self) -> bool:
        """Whether it is a side effect only (nausea, headache), or an intolerance without a reaction on record."""
        if self.reactions:
            return all(
                reaction.is_no_allergy and not reaction.is_critical for reaction in map(_reaction, self.reactions)
            )
        return self.is_intolerance


def allergies(record: PatientRecord) -> tuple[Allergy, ...]:
    """Return the drug allergies and intolerances of the record, computed once per record.

    Neither resolved or inactive ones, nor food and pollen; refuted ones are not facts of the record. An entry that
    could name any drug, and that no table knows, is a gap (`fhir/mapping/gaps.py`): it may be the drug.
    """
    return record.derive(_drug_allergies).read


def unread_allergies(record: PatientRecord) -> tuple[str, ...]:
    """Return the words of the entries that could name any drug and that no table knows, each once."""
    return tuple(record.derive(_drug_allergies).unread)


def refused_allergies(record: PatientRecord) -> tuple[Refusal, ...]:
    """Return the gap that these entries are; nothing where there is none."""
    unread = record.derive(_drug_allergies).unread
    return (_refusal_of_unread(unread),) if unread else ()


def allergies_to_ingredient(record: PatientRecord, rxcui: str) -> Sequence[Allergy]:
    """Every allergy or intolerance to this very ingredient."""
    return allergies_by_ingredient(record).get(rxcui, ())


def allergies_by_ingredient(record: PatientRecord) -> Mapping[str, Sequence[Allergy]]:
    """Return the drug allergies and intolerances by the RxNorm codes of their ingredients, computed once per record."""
    return record.derive(_by_ingredient)


def _by_ingredient(record: PatientRecord) -> dict[str, list[Allergy]]:
    by_ingredient: dict[str, list[Allergy]] = {}
    for allergy in allergies(record):
        for rxcui in {ingredient.rxcui for ingredient in allergy.allergen.ingredients}:
            by_ingredient.setdefault(rxcui, []).append(allergy)
    return by_ingredient


def allergy_to_class(record: PatientRecord, name: str) -> Allergy | None:
    """Return the worst allergy or intolerance to a class of drugs, or to an ingredient of it.

    Raises KeyError for a class that the tables do not have.
    """
    return worst_allergy(allergies_to_class(record, name))


def allergies_to_class(record: PatientRecord, name: str) -> tuple[Allergy, ...]:
    """Every allergy or intolerance to a class of drugs, or to an ingredient of it; KeyError as above.

    Found once per record: many rules ask of the same few classes, and most charts have no such entry.
    """
    return record.derive(_to_class, name)


def _to_class(record: PatientRecord, name: str) -> tuple[Allergy, ...]:
    members = CLASS_MEMBERS[name]
    return tuple(
        allergy
        for allergy in allergies(record)
        if name in allergy.allergen.classes
        or any(ingredient.rxcui in members for ingredient in allergy.allergen.ingredients)
    )


def worst_allergy(allergies: Iterable[Allergy]) -> Allergy | None:
    """Return the most severe of them, allergies before intolerances; None when there is none."""
    order = ("critical", "warning", "info")
    return min(
        allergies,
        key=lambda allergy: (allergy.is_intolerance, order.index(allergy.severity), allergy.source),
        default=None,
    )


class _DrugAllergies(Struct, frozen=True):
    """The drug allergies of a record, and the words of the entries that could not be read."""

    read: tuple[Allergy, ...]
    unread: Mapping[str, str]
    """With the first code of each."""


def _drug_allergies(record: PatientRecord) -> _DrugAllergies:
    read: list[Allergy] = []
    unread: dict[str, str] = {}
    for resource in record.facts(AllergyIntolerance):
        if is_over(resource):
            continue
        allergen = allergen_of_resource(resource)
        if _is_of_drugs(allergen):
            read.append(_allergy(resource, allergen))
        if could_be_a_drug(resource, allergen):
            unread.setdefault(*words_and_code(resource.code))
            doubtful = _doubtful_allergen(resource, allergen)
            if _is_of_drugs(doubtful):
                read.append(_in_doubt(_allergy(resource, doubtful)))
    for condition in record.facts(Condition):
        allergy = _allergy_of_problem(condition)
        if allergy is not None and all(allergy.allergen | other.allergen != other.allergen for other in read):
            read.append(allergy)
    return _DrugAllergies(tuple(read), unread)


def _allergy_of_problem(condition: Condition) -> Allergy | None:
    """Return the allergy that an entry of the problem list states, with what it says of the reaction; else None."""
    concept = condition.code
    if concept is None:
        return None
    # A drug is not safe again because the harm that it did is over.
    allergen, drug, stated = _allergens_of_problem(concept)
    if allergen == Allergen() and not (is_over(condition) or condition.abatementDateTime or condition.abatementString):
        allergen = stated
    if not _is_of_drugs(allergen):
        return None
    entry = AllergyIntolerance(code=concept, recordedDate=condition.recordedDate)
    if drug:
        entry = AllergyIntolerance(
            code=CodeableConcept(text=drug), recordedDate=condition.recordedDate, note=(Annotation(text=concept.words),)
        )
    source = condition.source
    allergy = msgspec.structs.replace(_allergy(entry, allergen), source=source, is_harm=bool(drug))
    return _in_doubt(allergy) if doubt_of(condition) else allergy


@remembered("allergens of a problem", entries=2048, longest=400)
def _allergens_of_problem(concept: CodeableConcept) -> tuple[Allergen, str, Allergen]:
    """Return what has harmed the patient by an entry of the problem list, its words, and what the allergy is to."""
    return *allergen_of_harm(concept.words), problem_allergen(concept)


def problem_allergen(concept: CodeableConcept) -> Allergen:
    """Give what an entry of the problem list says that the patient is allergic to; an empty Allergen for any other."""
    return allergen_of_problem(concept.words, tuple([(coding.system, coding.code) for coding in concept.coding]))


# SNOMED CT, as the International Patient Summary (HL7 IPS, absent or unknown allergies) and US Core have them: no known
# allergy, drug, food, environmental, insect and latex allergy; or no information about any.
_NONE_KNOWN = frozenset(
    {"716186003", "160244002", "409137002", "429625007", "428607008", "428197003", "716184000"}
    | {"no-known-allergies", "no-known-medication-allergies", "no-known-food-allergies", "no-allergy-info"}
    | {"no-known-environmental-allergies"}
)


def could_be_a_drug(resource: AllergyIntolerance, allergen: Allergen) -> bool:
    """Whether no table knows what an entry names, or of whom, and nothing says that it is food, pollen or nothing."""
    concept = resource.code
    if concept is not None and allergen | unclear_allergen(concept.words) != allergen:
        return True
    if concept is None or allergen != Allergen() or (resource.category and not {"medication"} & {*resource.category}):
        return False
    words = concept.words
    return not (
        _NO_DRUG.search(words)
        or denies_allergies(words)
        or vaccine_families(concept)
        or any(
            coding.code in _NONE_KNOWN or is_known_condition(coding.system, coding.code) for coding in concept.coding
        )
    )


def _refusal_of_unread(unread: Mapping[str, str]) -> Refusal:
    count = f"{len(unread)} {'allergy' if len(unread) == 1 else 'allergies'} could not be read"
    text = f"{count}: {first_few([*unread], _MOST_NAMED, '; ')}."
    return Refusal("allergies", ALLERGIES_UNREADABLE, text, code=" ".join(unread.values()))


def _doubtful_allergen(resource: AllergyIntolerance, allergen: Allergen) -> Allergen:
    """Return what an entry names without saying clearly of whom or how; by its notes where its code names nothing."""
    words = resource.code.words if resource.code is not None else ""
    if denies_allergies(words) and not _reactions_in_name(words):  # "NKDA. Takes amoxicillin before dental work"
        return Allergen()
    doubtful = unclear_allergen(words)
    if allergen == doubtful == Allergen():
        for text in _free_texts(resource):
            doubtful |= allergen_of_words(text)
    return doubtful


def _free_texts(resource: AllergyIntolerance) -> list[str]:
    texts = (*(note.text for note in resource.note), *(reaction.description for reaction in resource.reaction))
    return [text for text in texts if text]


def _in_doubt(allergy: Allergy) -> Allergy:
    """Return what an entry that is not clear may mean, one step lower: a true allergy must not be passed over."""
    return msgspec.structs.replace(allergy, severity=_LOWER[allergy.severity], is_unsure=True)


def _is_of_drugs(allergen: Allergen) -> bool:
    """Whether a drug is named, or a class that has drugs for members or is in products: latex has and is in none."""
    classes = (ALLERGEN_CLASSES[name] for name in allergen.named_classes)
    return bool(allergen.ingredients or allergen.classes) or any(
        allergen_class.members or allergen_class.same_class == "held" for allergen_class in classes
    )


def is_over(resource: AllergyIntolerance | Condition) -> bool:
    """Whether its clinical status, by code or in words alone, is another one than active."""
    stated = resource.clinicalStatus
    if stated is None:
        return False
    if stated.coding:
        return not stated.has("active")
    return (stated.text or "active").strip().lower() != "active"


def allergy_grade(resource: AllergyIntolerance) -> Grade:
    """How severe its reactions were: mild where reactions are charted and none is severe, unknown without any."""
    return _grade(resource, _reactions(resource))


def allergen_of_resource(resource: AllergyIntolerance) -> Allergen:
    """Return the drugs and classes that an entry of the list of allergies means, by its code and its reactions."""
    meaning = _meaning(resource.code) if resource.code is not None else Allergen()
    for reaction in resource.reaction:
        if reaction.substance is not None:
            meaning |= _meaning(reaction.substance)
    return meaning


def _meaning(concept: CodeableConcept) -> Allergen:
    codings = tuple([(coding.system, coding.code, coding.display) for coding in concept.coding])
    return read_allergens(concept.text, codings)


def _allergy(resource: AllergyIntolerance, allergen: Allergen) -> Allergy:
    reactions = _reactions(resource)
    kind = _kind(resource.type)
    grade = _grade(resource, reactions)
    words = _words_of(resource.code, allergen)
    unsure = _UNSURE.search(words) is not None
    onsets = [reaction.onset for reaction in resource.reaction if reaction.onset]
    reacted = resource.lastOccurrence or max(onsets, default=None) or resource.onsetDateTime
    recorded = resource.recordedDate or reacted
    return Allergy(
        allergen,
        words,
        resource.source,
        kind,
        "info" if unsure else _severity(resource, kind, reactions),
        grade,
        reactions,
        resource.criticality,
        unsure,
        parse_time(recorded),
        reacted=parse_time(reacted),
    )


def _words_of(concept: CodeableConcept | None, allergen: Allergen) -> str:
    """Return what a person reads: the chart's words, or the name of the drug where it has only a code."""
    if concept is not None and concept.texts:
        return concept.words
    names = sorted(ingredient.name for ingredient in allergen.ingredients)
    return ", ".join(names) or (concept.words if concept is not None else "")


def _reactions(resource: AllergyIntolerance) -> tuple[str, ...]:
    """Return the manifestations in words; where none is charted, the description, else the note, else of the name."""
    manifestations = [_manifestation(concept) for reaction in resource.reaction for concept in reaction.manifestation]
    described = [reaction.description or "" for reaction in resource.reaction]
    noted = [note.text for note in resource.note]
    for texts in (manifestations, described, noted):
        texts_given = tuple(_with_english(text) for text in texts if text)
        if texts_given:
            return texts_given
    return _reactions_in_name(resource.code.words) if resource.code is not None else ()


def _reactions_in_name(words: str) -> tuple[str, ...]:
    """Return the reactions that stand with the name of an allergen ("PCN - hives"), the worst kind of them alone."""
    words = _with_english(AssertedText(words, of="reaction").without_denied(words))
    for kind in (_CRITICAL, _MILD, _OTHER, _NO_ALLERGY):
        names = [match[0] + words[match.end() :].partition(" ")[0] for match in kind.finditer(words)]
        if names:
            return tuple(dict.fromkeys(name.rstrip(".,;:)]") for name in names))
    return ()


@remembered("reactions with English names", entries=1024, longest=400)
def _with_english(words: str) -> str:
    """Return the words of a reaction with the English name behind what they say in another language."""
    for pattern, name in _REACTIONS_IN_ENGLISH:
        if name not in words.lower():
            words = pattern.sub(rf"\g<0> ({name})", words)
    return words


_NOT_TOLD: Final = re.compile(
    r"\W*(?:reaction )?(?:unknown|not known|unspecified|not (?:specified|recorded|stated))\W*", re.I
)


def _manifestation(concept: CodeableConcept) -> str:
    """Return what happened, in words; "" where it says that nobody knows: then the note may tell."""
    if concept.texts:
        return "" if _NOT_TOLD.fullmatch(concept.words) else concept.words
    reaction_texts = (reaction_words(coding.code) for coding in concept.coding)
    return next((words for words in reaction_texts if words), "")


def _kind(stated: str | None) -> Literal["allergy", "intolerance"] | None:
    if stated == "allergy":
        return "allergy"
    return "intolerance" if stated == "intolerance" else None


def _is_severe(resource: AllergyIntolerance) -> bool:
    return any(reaction.severity == "severe" for reaction in resource.reaction)


def _grade(resource: AllergyIntolerance, reactions: tuple[str, ...]) -> Grade:
    if _is_severe(resource) or any(_reaction(text).is_critical for text in reactions):
        return "severe"
    return "mild" if reactions else "unknown"


def _severity(
    resource: AllergyIntolerance, kind: Literal["allergy", "intolerance"] | None, reactions: tuple[str, ...]
) -> Severity:
    readings = [_reaction(text) for text in reactions]
    if any(reading.is_critical for reading in readings):
        severity: Severity = "critical"
    elif readings and all(reading.is_no_allergy for reading in readings):
        severity = "info"
    else:
        # Hives, a rash, what the table does not name, and what is not recorded: "reaction missing: never critical".
        is_named = any(reading.is_mild for reading in readings)
        severity = "critical" if reactions and _is_severe(resource) and not is_named else "warning"
    # The same table: low criticality lowers one step; an intolerance is no allergy.
    return _LOWER[severity] if resource.criticality == "low" or kind == "intolerance" else severity
