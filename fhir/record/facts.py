"""Which resources of a chart are facts: each once, not taken back or refuted, and begun by the time of the call."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace as replace_fields

from fhir.record.datatypes import Coding, parse_time
from fhir.record.resources import AllergyIntolerance, Condition, Encounter, Procedure
from fhir.record.visit_classes import with_known_class
from fhir.terminology.condition_words import ICD10_CM, code_of_words
from fhir.terminology.conditions import SYSTEMS, condition_meaning

_T = TypeVar("_T")

NEVER_STATUS = frozenset({"entered-in-error", "cancelled", "not-done"})
_NEVER_VERIFICATION = frozenset({"entered-in-error", "refuted"})
_VERIFIED: frozenset[type[Any]] = frozenset({Condition, AllergyIntolerance})
"""What has a verification status instead of a status."""


def facts_among(resources: list[Any], kind: type[_T], as_of: datetime) -> tuple[_T, ...]:
    """Those of the resources of one kind that are facts at `as_of`, in their order."""
    if not resources:
        return ()
    each_once = distinct(resources)
    if kind not in _VERIFIED:
        facts = [each for each in each_once if each.status not in NEVER_STATUS]
        if kind is Encounter:
            facts = [with_known_class(each) for each in facts]
        return tuple(_those_begun(facts, _performed, as_of) if kind is Procedure else facts)
    facts = [each for each in each_once if _is_verified(each)]
    if kind is Condition:
        facts = [_with_code_of_words(each) for each in _those_begun(facts, _onsets, as_of)]
    return tuple(facts)


def distinct(resources: list[Any]) -> Iterable[Any]:
    """Each once: the same resource under two prefetch keys is one fact; what has no id is always another one."""
    if len({resource.id for resource in resources}) == len(resources):
        return resources
    by_id: dict[str | object, Any] = {}
    for each in resources:
        by_id.setdefault(object() if each.id is None else each.id, each)
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


def _onsets(conditions: list[Any]) -> list[str | None]:
    return [
        each.onsetDateTime or (each.onsetPeriod.start if each.onsetPeriod is not None else None) or each.recordedDate
        for each in conditions
    ]


def _performed(procedures: list[Any]) -> list[str | None]:
    return [
        each.performedDateTime or (each.performedPeriod.start if each.performedPeriod is not None else None)
        for each in procedures
    ]


def _with_code_of_words(condition: Condition) -> Condition:
    """The condition with the code that its words name, where its own codes say nothing that is known here.

    An ICD code says what it says, whether a table has it or not. Of SNOMED CT the tables have a few codes of many.
    """
    concept = condition.code
    if concept is None:
        return condition
    for coding in concept.coding:
        if _is_read(coding):
            return condition
    code = code_of_words(concept.words)
    if code is None:
        return condition
    return replace_fields(
        condition, code=replace_fields(concept, coding=(*concept.coding, Coding(system=ICD10_CM, code=code)))
    )


def _is_read(coding: Coding) -> bool:
    short = SYSTEMS.get(coding.system or "")
    return short is not None and (short != "snomed" or condition_meaning(coding.system, coding.code) is not None)
