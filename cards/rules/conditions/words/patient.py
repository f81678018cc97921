"""Words about the patient: sex, conditions on the problem list, allergies, and what the draft is for."""

import re
from collections.abc import Collection, Iterator

from cards.extension import Fact
from cards.rules.conditions.condition import (
    BOOLEAN,
    DAYS,
    NO_NEEDS,
    TEXT,
    TEXTS,
    Condition,
    DataNeeds,
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
from cards.text import plain
from fhir.mapping.conditions import ConditionHit, condition_hit, condition_status, problems_of
from fhir.mapping.shown_by_results import result_analytes
from fhir.record.datatypes import CodeableConcept
from fhir.record.resources import Condition as Resource
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.conditions import CONDITION_GROUPS, code_system

CONDITIONS = needs("Condition")
"""What a condition needs that looks at the problem list."""
# A delivery ends a pregnancy.
PREGNANCY = needs("Condition", "Procedure", "Encounter", "Observation", analytes=("pregnancy_signs",))
"""What a condition needs that asks whether the patient is pregnant."""
_VALVE = needs("Condition", "Procedure")
ALLERGIES = needs("AllergyIntolerance")
"""What a condition needs that looks at the allergy list."""


def _sex(spec: Spec) -> Predicate:
    wanted = only(spec, "sex")["sex"]

    def test(context: RuleContext) -> Truth:
        return None if context.sex is None else context.sex == wanted

    return Predicate(test, no_facts, frozenset({"sex"}))


_SEX = Condition(
    "sex", "the administrative sex is so", _sex, {"enum": ["male", "female"]}, lambda spec: str(spec["sex"])
)


def _condition_any(spec: Spec) -> Predicate:
    keys = tuple(only(spec, "condition_any")["condition_any"])

    def test(context: RuleContext) -> Truth:
        truths = [context.has_condition(key) for key in keys]
        return True if True in truths else None if None in truths else False

    def facts(context: RuleContext) -> list[Fact]:
        return [fact for key in keys for fact in context.condition_facts(key)]

    return Predicate(test, facts, frozenset({"conditions"}) | {f"condition:{key}" for key in keys})


def _needs_of_conditions(spec: Spec) -> DataNeeds:
    groups = spec["condition_any"]
    if "pregnancy" in groups:
        return PREGNANCY
    # A valve, a stent or a transplant may be charted as the operation alone; a result shows other conditions.
    from_procedures = any(
        "Procedure" in CONDITION_GROUPS[name].counts_from for name in groups if name in CONDITION_GROUPS
    )
    return (_VALVE if from_procedures else CONDITIONS) | needs(analytes=result_analytes(groups))


_CONDITION_ANY = Condition(
    "condition_any",
    "one of these keys of `fhir/terminology/tables/condition_groups.csv` is on the problem list, or a result shows it",
    _condition_any,
    TEXTS,
    lambda spec: " or ".join(spec["condition_any"]),
    _needs_of_conditions,
)


def _allergy(spec: Spec) -> Predicate:
    wanted = only(spec, "allergy")["allergy"]
    if wanted.get("match") == "ingredient":
        rxcui = str(only(wanted, "match", "ingredient")["ingredient"]["rxcui"])

        def test(context: RuleContext) -> Truth:
            return context.session.is_allergic_to_ingredient(rxcui)

    elif wanted.get("match") == "class":
        name = str(only(wanted, "match", "class")["class"])

        def test(context: RuleContext) -> Truth:
            return context.session.is_allergic_to_class(name)

    else:
        raise RuleError(f"allergy: match is {wanted.get('match')!r}")
    return Predicate(test, no_facts, frozenset({"allergies"}))


def _allergy_wording(spec: Spec) -> str:
    allergy = spec["allergy"]
    return f"allergy to {allergy['ingredient']['name'] if 'ingredient' in allergy else allergy['class']}"


_ALLERGY = Condition(
    "allergy",
    'an allergy is on the list: `{"match": "ingredient", "ingredient": …}` or `{"match": "class", "class": …}`',
    _allergy,
    {
        "oneOf": [
            members(("match", "ingredient"), match={"const": "ingredient"}, ingredient={"$ref": "#/$defs/drug"}),
            members(("match", "class"), match={"const": "class"}, **{"class": TEXT}),
        ]
    },
    _allergy_wording,
    ALLERGIES,
)


_PATIENT = (_SEX, _CONDITION_ANY, _ALLERGY)


def _read(spec: Spec) -> Predicate:
    inner = only(only(spec, "indication")["indication"], "icd10", "snomed", "words", "of_draft_only")
    prefixes = tuple(code.replace(".", "").upper() for code in inner.get("icd10", ()))
    codes = frozenset(inner.get("snomed", ()))
    words = re.compile("|".join(rf"\b{re.escape(word)}" for word in inner.get("words", ())) or r"(?!)", re.IGNORECASE)
    if not (prefixes or codes or inner.get("words")):
        raise RuleError(f"{dict(spec)!r} names no indication")
    of_draft_only = inner.get("of_draft_only", False)

    def is_said(text: str) -> bool:
        return any(is_of_patient(text, match.start()) for match in words.finditer(text))

    def is_meant(concept: CodeableConcept) -> bool:
        return _code_of(concept, prefixes, codes) is not None or is_said(concept.words)

    def test(context: RuleContext) -> Truth:
        order = context.drafted.order
        if is_said(order_text(order)):
            return True
        listed = () if of_draft_only else _problems(context)
        if any(is_meant(concept) for concept in (*order.reasonCode, *listed)):
            return True
        return None if not of_draft_only and not context.session.knows_conditions else False

    def facts(context: RuleContext) -> list[Fact]:
        listed = () if of_draft_only else _listed(context)
        return [
            _problem_fact(condition, context)
            for condition in listed
            if condition.code is not None and is_meant(condition.code)
        ]

    return Predicate(test, facts, frozenset() if of_draft_only else frozenset({"conditions"}))


def _code_of(concept: CodeableConcept, prefixes: tuple[str, ...], codes: Collection[str]) -> str | None:
    """The code of the concept that is one of the SNOMED CT codes or begins with one of the ICD-10 prefixes."""
    for coding in concept.coding:
        system, code = code_system(coding.system), (coding.code or "").strip()
        if (system == "snomed" and code in codes) or (
            system == "icd10" and prefixes and code.replace(".", "").upper().startswith(prefixes)
        ):
            return code
    return None


def _problems(context: RuleContext) -> Iterator[CodeableConcept]:
    """What is on the problem list and not over."""
    return (condition.code for condition in _listed(context) if condition.code is not None)


def _listed(context: RuleContext) -> Iterator[Resource]:
    record = context.session.record
    return (condition for condition in record.conditions if condition_status(condition, record.as_of_epoch) != "past")


def _problem_fact(condition: Resource, context: RuleContext) -> Fact:
    hit = condition_hit("condition", condition, "", context.session.record)
    date = hit.time.text if hit.time is not None else None
    return Fact("condition", plain(hit.words), effective=date, source=hit.source)


def _wording(spec: Spec) -> str:
    inner = spec["indication"]
    codes_and_words = [*inner.get("words", ()), *(f"ICD-10 {code}" for code in inner.get("icd10", ()))]
    codes_and_words += [f"SNOMED CT {code}" for code in inner.get("snomed", ())]
    return f"{'for' if inner.get('of_draft_only') else 'for, or on the problem list:'} {', '.join(codes_and_words)}"


_INDICATION = Condition(
    "indication",
    "`icd10` (prefixes), `snomed` (codes) or `words` (beginnings) is what the draft says that it is for or, unless "
    "`of_draft_only`, is on the problem list",
    _read,
    members(icd10=TEXTS, snomed=TEXTS, words=TEXTS, of_draft_only=BOOLEAN),
    _wording,
    lambda spec: NO_NEEDS if spec["indication"].get("of_draft_only") else needs("Condition"),
)


def _read_recent(spec: Spec) -> Predicate:
    inner = only(only(spec, "recent_problem")["recent_problem"], "groups", "icd10", "snomed", "within_days")
    groups = tuple(inner.get("groups", ()))
    prefixes = tuple(code.replace(".", "").upper() for code in inner.get("icd10", ()))
    codes = frozenset(inner.get("snomed", ()))
    days = float(inner["within_days"])
    if not (groups or prefixes or codes):
        raise RuleError(f"{dict(spec)!r} names no problem")
    if unknown := set(groups) - CONDITION_GROUPS.keys():
        raise RuleError(f"recent_problem: no group is called {', '.join(sorted(unknown))}")

    def hits_of(context: RuleContext) -> list[ConditionHit]:
        hits = problems_of(context.session.record, groups)
        if prefixes or codes:
            hits += [
                condition_hit("problem", condition, code, context.session.record)
                for condition in _listed(context)
                if condition.code is not None and (code := _code_of(condition.code, prefixes, codes)) is not None
            ]
        return hits

    def is_recent(hit: ConditionHit, context: RuleContext) -> bool:
        return hit.time is not None and hit.time.whole_days(context.session.record.as_of_epoch) <= days

    def test(context: RuleContext) -> Truth:
        hits = hits_of(context)
        if any(is_recent(hit, context) for hit in hits):
            return True
        undated = any(hit.time is None for hit in hits)
        return None if undated or not context.session.knows_conditions else False

    def facts(context: RuleContext) -> list[Fact]:
        return [
            Fact(
                "problem",
                plain(hit.words),
                hit.code or hit.words,
                effective=hit.time.text if hit.time else None,
                source=hit.source,
            )
            for hit in {hit.source: hit for hit in hits_of(context) if is_recent(hit, context)}.values()
        ]

    return Predicate(test, facts, frozenset({"conditions", "problem"}))


def _recent_wording(spec: Spec) -> str:
    inner = spec["recent_problem"]
    texts = [*inner.get("groups", ()), *(f"ICD-10 {code}" for code in inner.get("icd10", ()))]
    texts += [f"SNOMED CT {code}" for code in inner.get("snomed", ())]
    return f"on the problem list since at most {inner['within_days']:g} days: {', '.join(texts)}"


_RECENT = Condition(
    "recent_problem",
    "one of these `groups` of `fhir/terminology/tables/condition_groups.csv` or of these codes (`icd10` prefixes, "
    "`snomed`) is on the problem list, not over, and began or was recorded in the last `within_days`; unknown where it "
    "has no date",
    _read_recent,
    members(("within_days",), groups=TEXTS, icd10=TEXTS, snomed=TEXTS, within_days=DAYS),
    _recent_wording,
    needs("Condition", "Encounter"),
)


WORDS = (*_PATIENT, _INDICATION, _RECENT)
