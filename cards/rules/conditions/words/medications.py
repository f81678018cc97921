"""Words about medications: the drafted order itself, those beside it, a pair, and what began when.

Of the drafted order: at which step it is evaluated, and how it is to be taken.
"""

from cards.extension import Fact
from cards.rules.conditions.condition import (
    BOOLEAN,
    DAYS,
    LIMITS,
    SELECTED,
    Condition,
    Predicate,
    Spec,
    Truth,
    comparison,
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

MEDICATIONS = needs("MedicationRequest", "MedicationStatement")
"""What a condition needs that looks at the patient's other medications."""


def _draft(spec: Spec) -> Predicate:
    matches = Selector.read(only(spec, "draft")["draft"]).matches
    return Predicate(lambda context: matches(context.medication))


_DRAFT = Condition(
    "draft",
    "the drafted drug is one of `ingredients` or `classes`, narrowed by `systemic`, `dose_form_any`, `exclude_classes`",
    _draft,
    SELECTED,
    lambda spec: f"the draft is {selected(spec['draft'])}",
)


def _active(spec: Spec) -> Predicate:
    selector = Selector.read(only(spec, "active")["active"])

    def test(context: RuleContext) -> Truth:
        return context.takes(selector)

    def facts(context: RuleContext) -> list[Fact]:
        return context.medication_facts(selector)

    return Predicate(test, facts, frozenset({"active"}))


_ACTIVE = Condition(
    "active",
    "such a drug is on the active list or in another draft of the session",
    _active,
    SELECTED,
    lambda spec: f"{selected(spec['active'])} is taken",
    MEDICATIONS,
)


def _others(selector: Selector, context: RuleContext) -> list[CurrentMedication]:
    """Such drugs that are taken or drafted beside the draft and are not the drafted drug itself."""
    own = frozenset(context.medication.rxcuis)
    return [
        one
        for one in context.taken(selector)
        if not own.issuperset(part.rxcui for part in selector.members(one.medication))
    ]


def _another(spec: Spec) -> Predicate:
    selector = Selector.read(only(spec, "another")["another"])

    def test(context: RuleContext) -> Truth:
        return bool(_others(selector, context))

    def facts(context: RuleContext) -> list[Fact]:
        return [
            Fact(
                "medication",
                plain(one.medication.words),
                "/".join(part.name for part in selector.members(one.medication)),
                effective=one.since,
                source=one.source,
            )
            for one in _others(selector, context)
        ]

    return Predicate(test, facts, frozenset({"active"}))


_ANOTHER = Condition(
    "another",
    "such a drug, other than the drafted one, is taken or drafted",
    _another,
    SELECTED,
    lambda spec: f"another drug is taken: {selected(spec['another'])}",
    MEDICATIONS,
)


def _new_start(spec: Spec) -> Predicate:
    wanted = only(spec, "new_start")["new_start"]

    def test(context: RuleContext) -> Truth:
        return None if context.new_start is None else context.new_start is wanted

    return Predicate(test, no_facts, frozenset({"history"}))


_NEW_START = Condition(
    "new_start",
    "the patient had no order of the ingredient in the last 180 days",
    _new_start,
    BOOLEAN,
    lambda spec: "a new start" if spec["new_start"] else "no new start",
    MEDICATIONS,
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
    MEDICATIONS,
)


# Pairs


def _partner_on(spec: Spec) -> Predicate:
    selector = Selector.read(only(spec, "partner_on")["partner_on"])

    def test(context: RuleContext) -> Truth:
        return context.pair_has(selector)

    return Predicate(test, no_facts, frozenset({"active"}))


_PARTNER_ON = Condition(
    "partner_on",
    "in a pair: the draft or the partner is such a drug",
    _partner_on,
    SELECTED,
    lambda spec: f"{selected(spec['partner_on'])} is one of the two",
    MEDICATIONS,
)


def _partner_new(spec: Spec) -> Predicate:
    wanted = only(spec, "partner_new")["partner_new"]

    def test(context: RuleContext) -> Truth:
        is_new = context.pair_is_new
        return None if is_new is None else is_new is wanted

    return Predicate(test, no_facts, frozenset({"active", "history"}))


_PARTNER_NEW = Condition(
    "partner_new",
    "in a pair: one of the two was begun in the last 30 days (a renewal is no beginning)",
    _partner_new,
    BOOLEAN,
    lambda spec: "one of the two is new" if spec["partner_new"] else "neither of the two is new",
    MEDICATIONS,
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
    MEDICATIONS,
)


_MEDICATIONS = (_DRAFT, _ACTIVE, _ANOTHER, _NEW_START, _LONG_TERM, _PARTNER_ON, _PARTNER_NEW, _DRUG_DAILY_MG)

SIGNING = "signing"
"""What a condition uses that differs between selecting and signing an order."""


def _signing(spec: Spec) -> Predicate:
    wanted = only(spec, "signing")["signing"]
    return Predicate(lambda context: context.is_signing is wanted, no_facts, frozenset({SIGNING}))


_SIGNING = Condition(
    "signing",
    "the order is being signed (or reconciled at discharge): nothing more will be entered",
    _signing,
    BOOLEAN,
    lambda spec: "at signing" if spec["signing"] else "before signing",
)


def _single_dose(spec: Spec) -> Predicate:
    wanted = only(spec, "single_dose")["single_dose"]
    return Predicate(lambda context: context.is_single_dose is wanted, no_facts, frozenset({"dose"}))


_SINGLE_DOSE = Condition(
    "single_dose",
    "the draft is one dose in all",
    _single_dose,
    BOOLEAN,
    lambda spec: "a single dose" if spec["single_dose"] else "more than one dose",
)


def _as_needed(spec: Spec) -> Predicate:
    wanted = only(spec, "as_needed")["as_needed"]
    return Predicate(lambda context: context.drafted.dose.as_needed is wanted, no_facts, frozenset({"dose"}))


_AS_NEEDED = Condition(
    "as_needed",
    "the draft is to be taken as needed",
    _as_needed,
    BOOLEAN,
    lambda spec: "as needed" if spec["as_needed"] else "scheduled",
)


WORDS = (*_MEDICATIONS, _SIGNING, _SINGLE_DOSE, _AS_NEEDED)
