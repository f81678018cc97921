"""Which resources of a chart are facts: each once, not taken back or refuted, and begun by the time of the call.

A condition whose own codes are not known here gets the code that its words name, and a visit the class that its display
names. FHIR R4 binds Encounter.class extensibly to HL7 v3 ActCode. Epic sends a system of its own with a display
("Appointment", "HOV" for a hospital outpatient visit, "Support OP Encounter", as public examples of its charts have
them); its numbers differ in meaning between the public maps, so that only the display is read. A class that neither
says is not known.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from msgspec.structs import replace as replace_fields

from fhir.record.datatypes import CodeableConcept, Coding, parse_time
from fhir.record.resources import AllergyIntolerance, Condition, Encounter, Procedure
from fhir.terminology.caching import remembered
from fhir.terminology.condition_words import ICD10_CM, code_of_words
from fhir.terminology.conditions import code_system, condition_groups_of

_T = TypeVar("_T")

NEVER_STATUS = frozenset({"entered-in-error", "cancelled", "not-done"})
_NEVER_VERIFICATION = frozenset({"entered-in-error", "refuted"})
_VERIFIED: frozenset[type[Any]] = frozenset({Condition, AllergyIntolerance})
"""What has a verification status instead of a status."""

ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
# v3 ActEncounterCode: ambulatory, emergency, field, home health, inpatient (acute, non-acute), observation,
# pre-admission, short stay, virtual.
VISIT_CLASSES: Final = frozenset({"AMB", "EMER", "FLD", "HH", "IMP", "ACUTE", "NONAC", "OBSENC", "PRENC", "SS", "VR"})
"""The codes of HL7 for classes of visits."""
# The first that is found says which: an outpatient visit to an emergency clinic is an emergency, "Hospital Outpatient
# Visit" is no stay.
_WORDS: Final = tuple(
    (code, re.compile(words, re.IGNORECASE))
    for code, words in (
        ("EMER", r"\bemergency\b|\b(?:ed|er) visit\b"),
        ("OBSENC", r"\bobservation\b"),
        ("HH", r"\bhome (?:health|visit)"),
        ("VR", r"\bvirtual\b|\btele(?:health|medicine|phone)\b|\bvideo visit\b"),
        ("AMB", r"\bambulatory\b|\bout-?patient\b|\boffice visit\b|^appointment$|^hov$|^support op encounter$"),
        ("IMP", r"\bin-?patient\b"),
    )
)


def facts_among(resources: list[Any], kind: type[_T], as_of: datetime) -> tuple[_T, ...]:
    """Those of the resources of one kind that are facts at `as_of`, in their order."""
    if not resources:
        return ()
    each_once = distinct(resources)
    if kind not in _VERIFIED:
        facts = [fact for fact in each_once if fact.status not in NEVER_STATUS]
        if kind is Encounter:
            facts = [_with_known_class(fact) for fact in facts]
        if kind is not Procedure:
            return tuple(facts)
        return tuple(_those_begun([fact for fact in facts if not says_not_performed(fact)], _performed, as_of))
    facts = [fact for fact in each_once if _is_verified(fact)]
    if kind is Condition:
        facts = [_with_code_of_words(fact) for fact in _those_begun(facts, _onsets, as_of)]
    return tuple(facts)


def distinct(resources: list[Any]) -> Iterable[Any]:
    """Returns each resource once: the same one under two prefetch keys is one fact; what has no id is another."""
    if len({resource.id for resource in resources}) == len(resources):
        return resources
    by_id: dict[str | object, Any] = {}
    for resource in resources:
        by_id.setdefault(object() if resource.id is None else resource.id, resource)
    return by_id.values()


def _is_verified(resource: Any) -> bool:
    stated = resource.verificationStatus
    if stated is not None:
        for coding in stated.coding:
            if coding.code in _NEVER_VERIFICATION:
                return False
        if stated.text and not stated.coding:
            return stated.text.strip().lower().replace(" ", "-") not in _NEVER_VERIFICATION
    return True


def _those_begun(facts: list[_T], dates_of: Callable[[list[_T]], list[str | None]], as_of: datetime) -> list[_T]:
    """Those that do not begin after `as_of`: an operation or an illness of next month is none yet.

    What is written with a day before yesterday is past in every time zone, and its date is not parsed.
    """
    last = (as_of - timedelta(days=1)).date().isoformat()
    texts = dates_of(facts)
    late = [text for text in texts if text and text >= last]
    if not late:  # nearly always
        return facts
    epoch = as_of.timestamp()
    ahead = {text for text in late if (time := parse_time(text)) is not None and time.is_after(epoch)}
    return [fact for fact, text in zip(facts, texts, strict=True) if text not in ahead]


_NOT_PERFORMED: Final = re.compile(
    r"\b(?:(?:not|never) (?:done|performed|carried out|completed|undertaken|given|attempted|had)|cancell?ed|aborted"
    r"|abandoned|declined|refused|deferred|postponed)\b(?= *(?:$|[-.,;:)/]|(?:due|because|by|per|as|for|today|on)\b))"
    r"|^(?:no|not|never|declined|refused)\b",
    re.IGNORECASE,
)
_OTHER_PART: Final = re.compile(r"[,;:()/]| - |\b(?:and|with|but|then)\b", re.IGNORECASE)


def says_not_performed(procedure: Procedure) -> bool:
    """Whether the words of a procedure, or of the reason for its status, say that it was not performed.

    What stands behind a comma or "with" before them is another part: "Colonoscopy, biopsy not done" was a colonoscopy.

    >>> from fhir.record.datatypes import CodeableConcept
    >>> says_not_performed(Procedure(status="completed", code=CodeableConcept(text="Carotid stent: not performed")))
    True
    """
    code, reason = procedure.code, procedure.statusReason
    return (code is not None and _deny_performance(code.words)) or (
        reason is not None and _deny_performance(reason.words)
    )


@remembered("words of procedures that deny them", entries=4096, longest=200)
def _deny_performance(words: str) -> bool:
    match = _NOT_PERFORMED.search(words)
    return match is not None and _OTHER_PART.search(words[: match.start()].rstrip(" ,;:(/-")) is None


def _onsets(conditions: list[Any]) -> list[str | None]:
    return [
        condition.onsetDateTime
        or (condition.onsetPeriod.start if condition.onsetPeriod is not None else None)
        or condition.recordedDate
        for condition in conditions
    ]


def _performed(procedures: list[Any]) -> list[str | None]:
    return [
        procedure.performedDateTime
        or (procedure.performedPeriod.start if procedure.performedPeriod is not None else None)
        for procedure in procedures
    ]


def _with_code_of_words(condition: Condition) -> Condition:
    """The condition with the code that its words name, where its own codes say nothing that is known here."""
    concept = condition.code
    code = _code_to_add(concept) if concept is not None else None
    if concept is None or code is None:
        return condition
    return replace_fields(
        condition,
        code=replace_fields(
            concept, coding=(*concept.coding, Coding(system=ICD10_CM, code=code, display=concept.words))
        ),
    )


@remembered("codes that words add to a concept", entries=4096, longest=600)
def _code_to_add(concept: CodeableConcept) -> str | None:
    """The code that the words name; None where a code of the concept says something.

    An ICD code says what it says, whether a table has it or not; of SNOMED CT and ICPC-2 the tables have a part.
    """
    return None if any(map(_is_read, concept.coding)) else code_of_words(concept.words)


def _is_read(coding: Coding) -> bool:
    short = code_system(coding.system)
    return short is not None and (
        short not in ("snomed", "icpc2") or bool(condition_groups_of(coding.system, coding.code))
    )


def class_of_words(words: str) -> str | None:
    """The class that a display names; None where it names none.

    >>> class_of_words("Support OP Encounter"), class_of_words("Inpatient"), class_of_words("Surgery")
    ('AMB', 'IMP', None)
    """
    return next((code for code, pattern in _WORDS if pattern.search(words) is not None), None)


def _with_known_class(visit: Encounter) -> Encounter:
    """The visit with the class of HL7 that its display names, where its own code is none of HL7's."""
    visit_class = visit.class_
    if visit_class is None or visit_class.code in VISIT_CLASSES or not visit_class.display:
        return visit
    code = class_of_words(visit_class.display)
    return (
        visit if code is None else replace_fields(visit, class_=replace_fields(visit_class, system=ACT_CODE, code=code))
    )
