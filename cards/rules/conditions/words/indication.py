"""The condition `indication`: what the draft is for, or what is on the problem list."""

import re
from collections.abc import Iterator

from cards.rules.conditions.condition import (
    BOOLEAN,
    NO_NEEDS,
    TEXTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    members,
    needs,
    no_facts,
    only,
)
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import order_text
from fhir.mapping.conditions import condition_status
from fhir.record.datatypes import CodeableConcept
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

    def test(context: RuleContext) -> Truth:
        order = context.drafted.order
        if words.search(order_text(order)) is not None:
            return True
        listed = () if of_draft_only else _problems(context)
        if any(is_meant(concept) for concept in (*order.reasonCode, *listed)):
            return True
        return None if not of_draft_only and not context.knows_conditions else False

    return Predicate(test, no_facts, frozenset() if of_draft_only else frozenset({"conditions"}))


def _problems(context: RuleContext) -> Iterator[CodeableConcept]:
    """What is on the problem list and not over."""
    record = context.session.record
    for condition in record.conditions:
        if condition.code is not None and condition_status(condition, record.as_of_epoch) != "past":
            yield condition.code


def _wording(spec: Spec) -> str:
    inner = spec["indication"]
    named = [*inner.get("words", ()), *(f"ICD-10 {code}" for code in inner.get("icd10", ()))]
    named += [f"SNOMED CT {code}" for code in inner.get("snomed", ())]
    return f"{'for' if inner.get('of_draft_only') else 'for, or on the problem list:'} {', '.join(named)}"


WORDS = Condition(
    "indication",
    "`icd10` (prefixes), `snomed` (codes) or `words` (beginnings) is what the draft says that it is for or, unless "
    "`of_draft_only`, is on the problem list",
    _read,
    members(icd10=TEXTS, snomed=TEXTS, words=TEXTS, of_draft_only=BOOLEAN),
    _wording,
    lambda spec: NO_NEEDS if spec["indication"].get("of_draft_only") else needs("Condition"),
)
