"""Which groups of conditions a coded or written concept means: by its codes, else by its words.

The codes say what they say. Words are read where no code of the concept is understood: a proprietary code with a text,
SNOMED CT that is in no table, a text alone; and where the code says that there is a heart valve prosthesis without its
kind. What the text denies, suspects, plans or says of somebody else means no group. What it says of the past means the
groups for which the past counts.
"""

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept, Coding
from fhir.terminology.caching import remembered
from fhir.terminology.condition_words import code_of_words
from fhir.terminology.conditions import CONDITION_GROUPS, code_system, condition_groups_of, is_known_condition
from fhir.terminology.phrases import Mention, groups_in_words

_KIND_NOT_STATED = "heart_valve_prosthesis_kind_not_stated"
OF_FAMILY = {"colorectal_cancer": "family_history_colorectal"}
"""Groups that say what a relative has had; without them the words of a relative mean nothing for the patient."""
_VALVES = frozenset({"mechanical_valve", "bioprosthetic_heart_valve"})


class MeantGroup(Struct, frozen=True, gc=False):
    """A group that a concept means, with the code that says so (empty: its words do)."""

    group: str
    code: str


class ConceptReading(Struct, frozen=True, gc=False):
    """What was read of a concept: its groups, what its words say of them, and whether it was understood at all."""

    meant: tuple[MeantGroup, ...]
    mentions: tuple[Mention, ...] = ()
    is_understood: bool = False


NOTHING = ConceptReading(())


def read_concept(concept: CodeableConcept | None) -> ConceptReading:
    """The groups that a concept means; an ICD code is understood, also where it means none of them."""
    return NOTHING if concept is None else _reading(concept)


@remembered("readings of concepts", entries=4096, longest=600)
def _reading(concept: CodeableConcept) -> ConceptReading:
    meant: dict[str, MeantGroup] = {}
    is_icd = is_known = False
    for coding in concept.coding:
        for group in condition_groups_of(coding.system, coding.code):
            meant.setdefault(group, MeantGroup(group, coding.code or ""))
        is_icd = is_icd or (code_system(coding.system) in ("icd10", "icd9") and not _is_of_words(concept, coding))
        is_known = is_known or is_known_condition(coding.system, coding.code)
    if (meant or is_icd) and _KIND_NOT_STATED not in meant and not _is_only_of_words(concept):
        return ConceptReading(tuple(meant.values()), (), True)
    mentions = _mentions(concept)
    is_coded_valve = _KIND_NOT_STATED in meant
    for mention in mentions:
        if _counts(mention) and (not is_coded_valve or mention.group in _VALVES):
            meant.setdefault(mention.group, MeantGroup(mention.group, ""))
        assertion = mention.assertion
        if mention.group in OF_FAMILY and assertion.person == "family" and assertion.polarity == "affirmed":
            meant.setdefault(OF_FAMILY[mention.group], MeantGroup(OF_FAMILY[mention.group], ""))
    if _VALVES & meant.keys():
        meant.pop(_KIND_NOT_STATED, None)
    return ConceptReading(tuple(meant.values()), mentions, bool(meant or mentions or is_known))


def _is_of_words(concept: CodeableConcept, coding: Coding) -> bool:
    """Whether a code was added because the words name it (fhir/record/facts.py)."""
    return coding.display == concept.words and coding.code == code_of_words(concept.words)


def _is_only_of_words(concept: CodeableConcept) -> bool:
    coded = [coding for coding in concept.coding if condition_groups_of(coding.system, coding.code)]
    return bool(coded) and all(_is_of_words(concept, coding) for coding in coded)


def _mentions(concept: CodeableConcept) -> tuple[Mention, ...]:
    """What the text says, else what the displays say, of which the first that names a group is read."""
    for text in dict.fromkeys((concept.text, *(coding.display for coding in concept.coding))):
        if text and (mentions := groups_in_words(text)):
            return mentions
    return ()


def _counts(mention: Mention) -> bool:
    group = CONDITION_GROUPS[mention.group]
    is_past = mention.assertion.temporality == "historical"
    return mention.assertion.is_of_patient and (not is_past or bool(group.history) or group.history_in_words)
