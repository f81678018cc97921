"""Words about medications: the drafted order itself, those beside it, a pair, and what began when.

Of the drafted order: at which step it is evaluated, and how it is to be taken.
"""

from collections.abc import Callable

from cards.extension import Fact
from cards.rules.conditions.condition import (
    DAYS,
    LIMITS,
    MEDICATION_LISTS,
    NO_NEEDS,
    SELECTED,
    Condition,
    DataNeeds,
    Predicate,
    Spec,
    Truth,
    comparison,
    flag,
    medications_beside,
    members,
    needs,
    no_facts,
    only,
)
from cards.rules.conditions.vocabulary import compared, selected
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import CurrentMedication
from cards.text import plain


def _of_drugs(
    word: str,
    test: Callable[[RuleContext, Selector], Truth],
    phrase: str,
    meaning: str,
    *,
    facts: Callable[[RuleContext, Selector], list[Fact]] | None = None,
    uses: frozenset[str] = frozenset({"active"}),
    needed: Callable[[Selector], DataNeeds] = lambda selector: medications_beside(selector.keyed),
) -> Condition:
    """A word whose value is a selector of drugs; `said` is its wording, with {} for the drugs."""

    def read(spec: Spec) -> Predicate:
        selector = Selector.read(only(spec, word)[word])
        listed = no_facts if facts is None else lambda context: facts(context, selector)
        return Predicate(lambda context: test(context, selector), listed, uses)

    return Condition(
        word,
        meaning,
        read,
        SELECTED,
        lambda spec: phrase.format(selected(spec[word])),
        lambda spec: needed(Selector.read(spec[word])),
    )


_DRAFT = _of_drugs(
    "draft",
    lambda context, selector: selector.matches(context.medication),
    "the draft is {}",
    "the drafted drug is one of `ingredients` or `classes`, narrowed by `systemic`, `dose_form_any`, `exclude_classes`",
    uses=frozenset(),
    needed=lambda _selector: NO_NEEDS,
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
        Fact(
            "medication",
            plain(medication.medication.words),
            "/".join(part.name for part in selector.members(medication.medication)),
            effective=medication.since,
            source=medication.source,
        )
        for medication in _other_drugs(context, selector)
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
    said_not="no new start",
)


def _long_term(spec: Spec) -> Predicate:
    days = float(only(only(spec, "long_term")["long_term"], "days")["days"])

    def test(context: RuleContext) -> Truth:
        """Taken without a gap of half a year, and since more than so many days."""
        if context.new_start is not False:
            return False
        recent = context.session.is_recent_start(context.medication, days)
        return None if recent is None else not recent

    return Predicate(test, no_facts, frozenset({"history"}))


_LONG_TERM = Condition(
    "long_term",
    "the drug has been taken for more than `days` days without a gap of half a year",
    _long_term,
    members(("days",), days=DAYS),
    lambda spec: f"taken for more than {spec['long_term']['days']} days",
    MEDICATION_LISTS,
)


# Pairs


_PARTNER_ON = _of_drugs(
    "partner_on",
    RuleContext.pair_has,
    "{} is one of the two",
    "in a pair: the draft or the partner is such a drug",
    needed=lambda _selector: MEDICATION_LISTS,
)
_PARTNER_NEW = flag(
    "partner_new",
    lambda context: context.pair_is_new,
    "one of the two is new",
    frozenset({"active", "history"}),
    needs=MEDICATION_LISTS,
    meaning="in a pair: one of the two was begun in the last 30 days (a renewal is no beginning)",
    said_not="neither of the two is new",
)


# The dose of one drug


def _drug_daily_mg(spec: Spec) -> Predicate:
    inner = only(spec, "drug_daily_mg")["drug_daily_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = comparison(inner, "ingredient")

    def test(context: RuleContext) -> Truth:
        return compare(context.drug_daily_mg(rxcui))

    def facts(context: RuleContext) -> list[Fact]:
        return context.drug_facts(rxcui)

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


_DRUG_DAILY_MG = Condition(
    "drug_daily_mg",
    "the daily dose of `ingredient` compares so: of the drafted order, else the highest of the active ones",
    _drug_daily_mg,
    {**members(("ingredient",), ingredient={"$ref": "#/$defs/drug"}, **LIMITS), "minProperties": 2},
    lambda spec: compared(f"mg a day of {spec['drug_daily_mg']['ingredient']['name']}", spec["drug_daily_mg"]),
    lambda spec: medications_beside([str(spec["drug_daily_mg"]["ingredient"]["rxcui"])]),
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
    said_not="before signing",
)
_SINGLE_DOSE = flag(
    "single_dose",
    lambda context: context.drafted.dose.single,
    "a single dose",
    frozenset({"dose"}),
    meaning="the draft is one dose in all",
    said_not="more than one dose",
)
_AS_NEEDED = flag(
    "as_needed",
    lambda context: context.drafted.dose.as_needed,
    "as needed",
    frozenset({"dose"}),
    meaning="the draft is to be taken as needed",
    said_not="scheduled",
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
    said_not="no medication list came",
)

WORDS = (*_MEDICATIONS, _SIGNING, _SINGLE_DOSE, _AS_NEEDED, _IN_HOSPITAL, _MEDICATIONS_KNOWN)
