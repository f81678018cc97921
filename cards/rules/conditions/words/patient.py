"""Words about the patient and the medications: sex, problems, allergies, and what is drafted, taken, or began when."""

import math
import re
from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.conditions.condition import (
    DAYS,
    LIMITS,
    MEDICATION_LISTS,
    NO_NEEDS,
    SELECTED,
    TEXT,
    TEXTS,
    Condition,
    DataNeeds,
    Predicate,
    Spec,
    Truth,
    compared,
    comparison,
    flag,
    members,
    needs,
    no_facts,
    one_of,
    selected,
    with_value,
)
from cards.rules.language.rule import Drug, RuleError
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext, hit_fact, meant_name, medication_fact
from cards.rules.patient.orders import CurrentMedication
from fhir.mapping.allergies import allergies_to_class, allergies_to_ingredient
from fhir.mapping.condition_concepts import words_take_back
from fhir.mapping.conditions import ConditionHit, began_by, condition_hit, condition_status, dated, problems_of
from fhir.mapping.medications.active import is_recent_start
from fhir.mapping.shown_by_results import result_analytes
from fhir.record.datatypes import CodeableConcept
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition as Resource
from fhir.terminology.assertions import is_of_patient
from fhir.terminology.conditions import CONDITION_GROUPS, code_system

CONDITIONS = needs("Condition")
"""What a condition needs that looks at the problem list."""
# A delivery ends a pregnancy.
PREGNANCY = needs("Condition", "Procedure", "Encounter", "Observation", analytes=("pregnancy_signs", "sex_at_birth"))
"""What a condition needs that asks whether the patient is pregnant."""
_ASKED_FOR = frozenset({"pregnancy", "breastfeeding"})
"""What answers to questions tell of, too: the status, the last period, whether she breastfeeds."""
ALLERGIES = needs("AllergyIntolerance")
"""What a condition needs that looks at the allergy list."""


def order_says(word: str, pattern: re.Pattern[str], phrase: str) -> Condition:
    """Return the condition that the instructions or reasons of the order match a pattern."""
    return flag(word, lambda context: pattern.search(context.drafted.text) is not None, phrase)


def _has_sex(wanted: str, context: RuleContext) -> Truth:
    return None if context.sex is None else context.sex == wanted


SEX = with_value("sex", one_of("male", "female"), _has_sex, str, "the administrative sex is so", frozenset({"sex"}))


def _condition_any(spec: Spec) -> Predicate:
    keys, days = tuple(spec["condition_any"]), float(spec.get("within_days", "inf"))
    charted_as = frozenset(CONDITION_GROUPS[key].key if key in CONDITION_GROUPS else key for key in keys)
    shown_otherwise = bool(result_analytes(keys))

    def counts(key: str, context: RuleContext) -> bool:
        hit = context.session.condition(key)
        if days < math.inf:
            hit = dated(hit, context.session.record)
        began = began_by(hit) if hit is not None else None
        # Without a date it may be recent.
        return hit is not None and (began is None or began.whole_days(context.session.record.as_of_epoch) <= days)

    def test(context: RuleContext) -> Truth:
        session = context.session
        if not shown_otherwise and session.charted_groups.isdisjoint(charted_as):  # mostly none is
            return False if session.knows_conditions else None
        for key in keys:
            hit = session.conditions[key] if key in session.conditions else session.condition(key)
            if hit is not None and (days == math.inf or counts(key, context)):
                return True
        return False if session.knows_conditions else None

    def facts(context: RuleContext) -> list[Fact]:
        return [fact for key in keys if counts(key, context) for fact in context.condition_facts(key)]

    return Predicate(test, facts, frozenset({"conditions"}) | {f"condition:{key}" for key in keys})


def _needs_of_conditions(spec: Spec) -> DataNeeds:
    groups = spec["condition_any"]
    if not _ASKED_FOR.isdisjoint(groups):
        return PREGNANCY
    # A valve, a stent or a transplant may be charted as the operation alone, the cancer of a relative as a history of
    # the family; a result shows other conditions.
    sources = {kind for name in groups if name in CONDITION_GROUPS for kind in CONDITION_GROUPS[name].counts_from}
    own = needs(*({"Procedure", "FamilyMemberHistory"} & sources))
    return CONDITIONS | own | needs(analytes=result_analytes(groups))


_CONDITION_ANY = Condition(
    "condition_any",
    "one of these keys of `fhir/terminology/tables/condition_groups.csv` is on the problem list, or a result shows it; "
    "with `within_days` it has no date, or began or was recorded in that time",
    _condition_any,
    TEXTS,
    lambda spec: (
        " or ".join(spec["condition_any"])
        + (f" of the last {spec['within_days']:g} days" if "within_days" in spec else "")
    ),
    _needs_of_conditions,
    {"within_days": DAYS},
)


def _allergy(spec: Spec) -> Predicate:
    wanted = spec["allergy"]
    is_drug = wanted.get("match") == "ingredient"
    entries = allergies_to_ingredient if is_drug else allergies_to_class
    key = str(wanted["ingredient"]["rxcui"] if is_drug else wanted["class"])
    return Predicate(lambda context: bool(entries(context.session.record, key)), no_facts, frozenset({"allergies"}))


def _allergy_wording(spec: Spec) -> str:
    allergy = spec["allergy"]
    return f"allergy to {allergy['ingredient']['name'] if 'ingredient' in allergy else allergy['class']}"


_ALLERGY = Condition(
    "allergy",
    'an allergy is on the list: `{"match": "ingredient", "ingredient": …}` or `{"match": "class", "class": …}`',
    _allergy,
    members(("match",), match=one_of("ingredient", "class"), ingredient=Drug, **{"class": TEXT}),
    _allergy_wording,
    ALLERGIES,
)


_PATIENT = (SEX, _CONDITION_ANY, _ALLERGY)

_NOUGHT = re.compile(r"(?: (?:rate|infusion))?[\s:=]*(?:0+(?:[.,]0+)?(?![.,]?\d)|none\b|off\b)", re.IGNORECASE)
"""What says that there is none of what was named: "continuous rate: 0 mg/h"."""


def _read(spec: Spec) -> Predicate:
    inner = spec["indication"]
    prefixes, codes = _prefixes_and_codes(inner)
    words = re.compile("|".join(rf"\b{re.escape(word)}" for word in inner.get("words", ())) or r"(?!)", re.IGNORECASE)
    if not (prefixes or codes or inner.get("words")):
        raise RuleError(f"{dict(spec)!r} names no indication")
    of_draft_only = inner.get("of_draft_only", False)

    def is_said(text: str) -> bool:
        return any(
            is_of_patient(text, match.start()) and not _NOUGHT.match(text, match.end())
            for match in words.finditer(text)
        )

    def is_meant(concept: CodeableConcept) -> bool:
        return _code_among(_codings_of(concept), prefixes, codes) is not None or is_said(concept.words)

    def is_charted(concept: CodeableConcept) -> bool:
        return _charted_code(concept, prefixes, codes) is not None or is_said(concept.words)

    def is_listed(record: PatientRecord) -> bool:
        problems = record.derive(_not_over)
        return bool(_charted_as(record, prefixes, codes)) or any(
            is_said(problem.code.words) for problem in problems if problem.code is not None
        )

    def test(context: RuleContext) -> Truth:
        if is_said(context.drafted.text) or any(map(is_meant, context.drafted.order.reasonCode)):
            return True
        if not of_draft_only and context.session.record.derive(is_listed):
            return True
        return None if not of_draft_only and not context.session.knows_conditions else False

    def facts(context: RuleContext) -> list[Fact]:
        listed = () if of_draft_only else context.session.record.derive(_not_over)
        return [
            replace(hit_fact("condition", condition_hit("", condition, "", context.session.record)), value=None)
            for condition in listed
            if condition.code is not None and is_charted(condition.code)
        ]

    return Predicate(test, facts, frozenset() if of_draft_only else frozenset({"conditions"}))


def _prefixes_and_codes(inner: Spec) -> tuple[tuple[str, ...], frozenset[str]]:
    prefixes = tuple(code.replace(".", "").upper() for code in inner.get("icd10", ()))
    return prefixes, frozenset(inner.get("snomed", ()))


def _in_words(names: Iterable[str], inner: Spec) -> str:
    codes = [*(f"ICD-10 {code}" for code in inner.get("icd10", ()))]
    return ", ".join([*names, *codes, *(f"SNOMED CT {code}" for code in inner.get("snomed", ()))])


_Codings: TypeAlias = list[tuple[str, str, str]]
"""The SNOMED CT and ICD-10 codes of a concept: system, code, and the code without dots, as prefixes have it."""


def _codings_of(concept: CodeableConcept) -> _Codings:
    codings = ((code_system(coding.system), coding.code.strip()) for coding in concept.coding)
    return [(system, code, code.replace(".", "").upper()) for system, code in codings if system in ("snomed", "icd10")]


def _code_among(codings: _Codings, prefixes: tuple[str, ...], codes: Collection[str]) -> str | None:
    """Return the first that is one of the SNOMED CT codes or begins with one of the ICD-10 prefixes."""
    for system, code, undotted in codings:
        if code in codes if system == "snomed" else prefixes and undotted.startswith(prefixes):
            return code
    return None


def _charted_code(concept: CodeableConcept, prefixes: tuple[str, ...], codes: Collection[str]) -> str | None:
    """Return the same of an entry of the problem list; None where its words take the code back."""
    code = _code_among(_codings_of(concept), prefixes, codes)
    return None if code is None or words_take_back(concept, code) else code


def _coded_problems(record: PatientRecord) -> list[tuple[Resource, CodeableConcept, _Codings]]:
    """Return what is on the problem list, not over and coded, with its codes."""
    problems = [(problem, problem.code) for problem in record.derive(_not_over) if problem.code is not None]
    coded = [(problem, concept, _codings_of(concept)) for problem, concept in problems]
    return [entry for entry in coded if entry[2]]


def _charted_as(record: PatientRecord, prefixes: tuple[str, ...], codes: Collection[str]) -> list[tuple[Resource, str]]:
    """Return the problems with such a code that their words do not take back, each with that code."""
    if not (prefixes or codes):
        return []
    coded = record.derive(_coded_problems)
    found = [(problem, concept, _code_among(codings, prefixes, codes)) for problem, concept, codings in coded]
    return [
        (problem, code) for problem, concept, code in found if code is not None and not words_take_back(concept, code)
    ]


def _not_over(record: PatientRecord) -> tuple[Resource, ...]:
    """Return what is on the problem list and not over."""
    conditions, as_of = record.facts(Resource), record.as_of_epoch
    return tuple([condition for condition in conditions if condition_status(condition, as_of) != "past"])


def _wording(spec: Spec) -> str:
    inner = spec["indication"]
    where = "for" if inner.get("of_draft_only") else "for, or on the problem list:"
    return f"{where} {_in_words(inner.get('words', ()), inner)}"


_INDICATION = Condition(
    "indication",
    "`icd10` (prefixes), `snomed` (codes) or `words` (beginnings) is what the draft says that it is for or, unless "
    "`of_draft_only`, is on the problem list",
    _read,
    members(icd10=TEXTS, snomed=TEXTS, words=TEXTS, of_draft_only=bool),
    _wording,
    lambda spec: NO_NEEDS if spec["indication"].get("of_draft_only") else needs("Condition"),
)


_FOR = re.compile(
    r"\bfor (?!(?:the|a|up|at|one|two|three|four|five|six|seven|ten|life|long|now|more|further|total|use|oral)\b)"
    r"[a-z]{2,}",
    re.IGNORECASE,
)


def _states_reason(context: RuleContext) -> Truth:
    return bool(context.drafted.order.reasonCode) or _FOR.search(context.drafted.text) is not None


_REASON = flag("reason_stated", _states_reason, "the order has a reason, or its words say what it is for")


def _read_recent(spec: Spec) -> Predicate:
    inner = spec["recent_problem"]
    groups = tuple(inner.get("groups", ()))
    prefixes, codes = _prefixes_and_codes(inner)
    days = float(inner["within_days"])
    if not (groups or prefixes or codes):
        raise RuleError(f"{dict(spec)!r} names no problem")
    if unknown := set(groups) - CONDITION_GROUPS.keys():
        raise RuleError(f"recent_problem: no group is called {', '.join(sorted(unknown))}")

    def hits_of(record: PatientRecord) -> list[ConditionHit]:
        coded = _charted_as(record, prefixes, codes)
        hits = [condition_hit("problem", problem, code, record) for problem, code in coded]
        return [*problems_of(record, groups), *hits]

    def is_recent(hit: ConditionHit, context: RuleContext) -> bool:
        return (began := began_by(hit)) is not None and began.whole_days(context.session.record.as_of_epoch) <= days

    def test(context: RuleContext) -> Truth:
        hits = context.session.record.derive(hits_of)
        if any(is_recent(hit, context) for hit in hits):
            return True
        undated = any(hit.time is None for hit in hits)
        return None if undated or not context.session.knows_conditions else False

    def facts(context: RuleContext) -> list[Fact]:
        hits = context.session.record.derive(hits_of)
        return [
            hit_fact("problem", hit) for hit in {hit.source: hit for hit in hits if is_recent(hit, context)}.values()
        ]

    return Predicate(test, facts, frozenset({"conditions", "problem"}))


def _recent_wording(spec: Spec) -> str:
    inner = spec["recent_problem"]
    problems = _in_words(inner.get("groups", ()), inner)
    return f"on the problem list since at most {inner['within_days']:g} days: {problems}"


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


_OF_PATIENT = (*_PATIENT, _INDICATION, _REASON, _RECENT)


def _of_drugs(
    word: str,
    test: Callable[[RuleContext, Selector], Truth],
    phrase: str,
    meaning: str,
    *,
    facts: Callable[[RuleContext, Selector], list[Fact]] | None = None,
    uses: frozenset[str] = frozenset({"active"}),
    data: DataNeeds = MEDICATION_LISTS,
    is_of_draft: bool = False,
) -> Condition:
    """Return a word whose value is a selector of drugs; `said` is its wording, with {} for the drugs."""

    def read(spec: Spec) -> Predicate:
        selector = Selector.read(spec[word])
        listed = no_facts if facts is None else lambda context: facts(context, selector)
        of_draft = (selector.keyed,) if is_of_draft and not selector.any_drug else ()
        return Predicate(lambda context: test(context, selector), listed, uses, of_draft=of_draft)

    return Condition(
        word,
        meaning,
        read,
        SELECTED,
        lambda spec: phrase.format(selected(spec[word])),
        data,
    )


_DRAFT = _of_drugs(
    "draft",
    lambda context, selector: selector.matches(context.medication),
    "the draft is {}",
    "the drafted drug is one of `ingredients` or `classes`, narrowed by `systemic`, `dose_form_any`, `exclude_classes`",
    uses=frozenset(),
    data=NO_NEEDS,
    is_of_draft=True,
)
_ACTIVE = _of_drugs(
    "active",
    RuleContext.takes,
    "{} is taken",
    "such a drug is on the active list or in another draft of the session",
    facts=RuleContext.medication_facts,
)


def _other_drugs(context: RuleContext, selector: Selector) -> list[CurrentMedication]:
    """Such drugs that are taken or drafted beside the draft and are not the drafted drug itself."""
    drafted_codes = frozenset(context.medication.rxcuis)
    return [
        medication
        for medication in context.current_medications(selector)
        if not drafted_codes.issuperset(part.rxcui for part in selector.members(medication.medication))
    ]


def _facts_of_others(context: RuleContext, selector: Selector) -> list[Fact]:
    return [
        medication_fact(medication, meant_name(selector, medication)) for medication in _other_drugs(context, selector)
    ]


def _takes_another(context: RuleContext, selector: Selector) -> Truth:
    if _other_drugs(context, selector):
        return True
    return False if context.session.knows_medications else None


_ANOTHER = _of_drugs(
    "another",
    _takes_another,
    "another drug is taken: {}",
    "such a drug, other than the drafted one, is taken or drafted",
    facts=_facts_of_others,
)
_NEW_START = flag(
    "new_start",
    lambda context: context.new_start,
    "a new start",
    frozenset({"history"}),
    needs=MEDICATION_LISTS,
    meaning="the patient had no order of the ingredient in the last 180 days",
    negated="no new start",
)


def _is_long_term(wanted: Spec, context: RuleContext) -> Truth:
    """Taken without a gap of half a year, and since more than so many days."""
    if "ingredient" in wanted:
        recent = is_recent_start(context.session.record, wanted["ingredient"]["rxcui"], wanted["days"])
    elif context.new_start is not False:
        return False
    else:
        recent = context.session.is_recent_start(context.medication, wanted["days"])
    return None if recent is None else not recent


def _long_term_wording(wanted: Spec) -> str:
    return f"{wanted.get('ingredient', {}).get('name', '')} taken for more than {wanted['days']} days".lstrip()


_LONG_TERM = with_value(
    "long_term",
    members(("days",), days=DAYS, ingredient=Drug),
    _is_long_term,
    _long_term_wording,
    "the drug, or the `ingredient`, has been taken for more than `days` days without a gap of half a year",
    frozenset({"history"}),
    needs=MEDICATION_LISTS,
)


# Pairs


_PARTNER_ON = _of_drugs(
    "partner_on",
    RuleContext.pair_has,
    "{} is one of the two",
    "in a pair: the draft or the partner is such a drug",
)
_PARTNER_NEW = flag(
    "partner_new",
    lambda context: context.pair_is_new,
    "one of the two is new",
    frozenset({"active", "history"}),
    needs=MEDICATION_LISTS,
    meaning="in a pair: one of the two was begun in the last 30 days (a renewal does not count)",
    negated="neither of the two is new",
)


# The dose of one drug


def _drug_daily_mg(spec: Spec) -> Predicate:
    inner = spec["drug_daily_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = comparison(inner)
    return Predicate(
        lambda context: compare(context.drug_daily_mg(rxcui)),
        lambda context: context.drug_facts(rxcui),
        frozenset({"active", "dose", "drug_dose"}),
        limits,
    )


_DRUG_DAILY_MG = Condition(
    "drug_daily_mg",
    "the daily dose of `ingredient` compares so: of the drafted order, else the highest of the active ones",
    _drug_daily_mg,
    members(("ingredient",), ingredient=Drug, **LIMITS),
    lambda spec: compared(f"mg a day of {spec['drug_daily_mg']['ingredient']['name']}", spec["drug_daily_mg"]),
    MEDICATION_LISTS,
)


_MEDICATIONS = (_DRAFT, _ACTIVE, _ANOTHER, _NEW_START, _LONG_TERM, _PARTNER_ON, _PARTNER_NEW, _DRUG_DAILY_MG)

SIGNING = "signing"
"""What a condition uses that differs between selecting and signing an order."""


_SIGNING = flag(
    "signing",
    lambda context: context.session.signing,
    "at signing",
    frozenset({SIGNING}),
    meaning="the order is being signed (or reconciled at discharge): nothing more will be entered",
    negated="before signing",
)
_SINGLE_DOSE = flag(
    "single_dose",
    lambda context: context.drafted.dose.single,
    "a single dose",
    frozenset({"dose"}),
    meaning="the draft is one dose in all",
    negated="more than one dose",
)
_SLOW_RELEASE = flag("slow_release", lambda context: context.medication.is_slow_release, "a slow-release form")
_AS_NEEDED = flag(
    "as_needed",
    lambda context: context.drafted.dose.as_needed,
    "as needed",
    frozenset({"dose"}),
    meaning="the draft is to be taken as needed",
    negated="scheduled",
)

_IN_HOSPITAL = flag(
    "in_hospital",
    lambda context: context.is_hospital_order,
    "an inpatient or emergency order",
    needs=needs("Encounter"),
)


_MEDICATIONS_KNOWN = flag(
    "medications_known",
    lambda context: context.session.knows_medications,
    "the medication list is known",
    needs=MEDICATION_LISTS,
    meaning="a medication list came with the call: what is not on it is not taken",
    negated="no medication list came",
)

_OF_MEDICATIONS = (*_MEDICATIONS, _SIGNING, _SINGLE_DOSE, _SLOW_RELEASE, _AS_NEEDED, _IN_HOSPITAL, _MEDICATIONS_KNOWN)
WORDS = (*_OF_PATIENT, *_OF_MEDICATIONS)
