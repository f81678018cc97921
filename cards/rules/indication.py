"""The condition `indication`: what the draft says that it is for, or what is on the problem list."""

import re
from collections.abc import Iterator

from cards.rules.condition import Condition, Spec, only
from cards.rules.order_words import order_words
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.rule import RuleError
from cards.rules.situation import Situation
from fhir.mapping.conditions import condition_status
from fhir.record.resources import CodeableConcept
from fhir.terminology.conditions import SYSTEMS


def _read(spec: Spec) -> Predicate:
    inner = only(only(spec, "indication")["indication"], "icd10", "snomed", "words", "of_draft_only")
    prefixes = tuple(code.replace(".", "").upper() for code in inner.get("icd10", ()))
    codes = frozenset(inner.get("snomed", ()))
    words = re.compile("|".join(rf"\b{re.escape(word)}" for word in inner.get("words", ())) or r"(?!)", re.IGNORECASE)
    if not (prefixes or codes or inner.get("words")):
        raise RuleError(f"{dict(spec)!r} names no indication")
    of_draft_only = inner.get("of_draft_only", False)

    def is_meant(concept: CodeableConcept) -> bool:
        for coding in concept.coding:
            system, code = SYSTEMS.get(coding.system or ""), (coding.code or "").strip()
            if (system == "snomed" and code in codes) or (
                system == "icd10" and prefixes and code.replace(".", "").upper().startswith(prefixes)
            ):
                return True
        return words.search(concept.words) is not None

    def test(situation: Situation) -> Truth:
        order = situation.drafted.order
        if words.search(order_words(order)) is not None:
            return True
        listed = () if of_draft_only else _problems(situation)
        return any(is_meant(concept) for concept in (*order.reasonCode, *listed))

    return Predicate(test, no_facts, frozenset() if of_draft_only else frozenset({"conditions"}))


def _problems(situation: Situation) -> Iterator[CodeableConcept]:
    """What is on the problem list and not over."""
    record = situation.chart.record
    for condition in record.conditions:
        if condition.code is not None and condition_status(condition, record.as_of_epoch) != "past":
            yield condition.code


def _wording(spec: Spec) -> str:
    inner = spec["indication"]
    named = [*inner.get("words", ()), *(f"ICD-10 {code}" for code in inner.get("icd10", ()))]
    named += [f"SNOMED CT {code}" for code in inner.get("snomed", ())]
    return f"{'for' if inner.get('of_draft_only') else 'for, or on the problem list:'} {', '.join(named)}"


_CODES = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
INDICATION = Condition(
    _read,
    {
        "type": "object",
        "properties": {"icd10": _CODES, "snomed": _CODES, "words": _CODES, "of_draft_only": {"type": "boolean"}},
        "additionalProperties": False,
    },
    _wording,
)
"""{"indication": {"icd10": [prefixes], "snomed": [codes], "words": [beginnings], "of_draft_only": …}}."""
