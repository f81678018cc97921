"""Duplicates: the placeholders, conditions and corrections that only these rules use."""

from collections.abc import Callable

from cards.rules.conditions.condition import (
    BOOLEAN,
    FALSE,
    Condition,
    Predicate,
    Spec,
    Truth,
    members,
    no_facts,
    only,
    settled,
)
from cards.rules.conditions.words.medications import MEDICATIONS
from cards.rules.engine.family import Family
from cards.rules.families.duplicate.conditions import (
    ACETAMINOPHEN,
    DAILY_TOTAL,
    MOST_MG,
    counted,
    drug_codes,
    is_other_release,
    is_other_way,
    is_same_product,
    is_topical_and_swallowed,
    overlap_days,
    to_three_grams,
    total_mg,
)
from cards.rules.language.rule import RuleError
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext
from cards.text import format_number, plain
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medications import classes_of

# rules/duplicate.json, table scope, classes_checked; what each is called in a sentence.
CLASSES = {
    "nsaid": "NSAIDs",
    "ssri": "SSRIs",
    "snri": "SNRIs",
    "statin": "statins",
    "ppi": "proton pump inhibitors",
    "h2_blocker": "H2 blockers",
    "ace_inhibitor": "ACE inhibitors",
    "arb": "ARBs",
    "benzodiazepine": "benzodiazepines",
    "z_drug": "Z-drugs",
    "sulfonylurea": "sulfonylureas",
    "dpp4": "DPP-4 inhibitors",
    "sglt2": "SGLT2 inhibitors",
    "glp1": "GLP-1 drugs",
    "beta_blocker": "beta blockers",
    "ccb_dhp": "dihydropyridines",
    "antipsychotic": "antipsychotics",
    "thiazide": "thiazides",
    "bisphosphonate": "bisphosphonates",
    "triptan": "triptans",
    "corticosteroid": "systemic corticosteroids",
}
_CHECKED = frozenset({*CLASSES, "opioid"})
_LONG_ACTING_OPIOID = Selector(classes=frozenset({"opioid"}), dose_forms=("extended release", "transdermal system"))
# Left out of the ingredient rule: fluids, insulin, electrolytes, vitamins and laxatives (CLARIFICATIONS).
_NOT_DUPLICATES = frozenset({"electrolyte_fluid", "insulin", "potassium", "vitamin", "laxative"})
# Two orders of these together can kill: a second strength of them stays a warning.
_DANGEROUS_TWICE = frozenset({"opioid", "opioid_partial_agonist", "anticoagulant", "doac", "heparin", "vka"})
# Known ends within so many days: the drug is being replaced (the renewal row counts the same 14 days).
_SWITCH_DAYS = 14.0


# The other order


def shared_class(context: RuleContext) -> tuple[str, str] | None:
    """What the draft and the partner both are, and the partner's drug that is it; None where nothing counts.

    An ingredient that both hold is no second drug of its class.
    """
    partner = context.partners[0].medication
    both = context.medication.classes & partner.classes
    if partner.systemic is False or _CHECKED.isdisjoint(both):
        return None
    mine = [one for one in context.medication.ingredients if not partner.has(one.rxcui)]
    theirs = [one for one in partner.ingredients if not context.medication.has(one.rxcui)]
    if not mine or not theirs:
        return None
    for name, words in CLASSES.items():
        if name not in both:
            continue
        other = next((one.name for one in theirs if name in classes_of((one,))), None)
        if other is not None and any(name in classes_of((one,)) for one in mine):
            return words, other
    if _LONG_ACTING_OPIOID.matches(context.medication) and _LONG_ACTING_OPIOID.matches(partner):
        return "long-acting opioids", theirs[0].name
    return None


def _shares_ingredient(context: RuleContext) -> bool:
    return bool(set(context.medication.rxcuis) & set(context.partners[0].medication.rxcuis))


def _false_without_partner(_medication: MedicationIdentity, has_partner: bool) -> Predicate | None:
    return None if has_partner else FALSE


def _duplicate(spec: Spec) -> Predicate:
    wanted = only(only(spec, "duplicate")["duplicate"], "level", "overlap_days_ge")
    level, least = wanted.get("level"), float(wanted.get("overlap_days_ge", 0))
    if level not in ("ingredient", "class"):
        raise RuleError(f"duplicate: level is {level!r}")

    def test(context: RuleContext) -> Truth:
        if not context.partners:
            return False
        if level == "class":
            return shared_class(context) is not None
        return _shares_ingredient(context) and overlap_days(context) >= least

    return Predicate(test, no_facts, frozenset({"active"}), for_drug=_false_without_partner)


def _duplicate_wording(spec: Spec) -> str:
    wanted = spec["duplicate"]
    together = f", {wanted['overlap_days_ge']} days or more together" if "overlap_days_ge" in wanted else ""
    return f"the same {wanted['level']}{together}"


def _of_partner(
    word: str,
    meaning: str,
    holds: Callable[[RuleContext], bool],
    can_hold: Callable[[MedicationIdentity], bool] = lambda _medication: True,
) -> Condition:
    """A condition about the draft and the partner that is looked at; false where there is none.

    `can_hold`: whether it can be true of the drafted medication beside any partner.
    """

    def read(spec: Spec) -> Predicate:
        wanted = only(spec, word)[word]

        def test(context: RuleContext) -> Truth:
            return bool(context.partners) and holds(context) is wanted

        def for_drug(medication: MedicationIdentity, has_partner: bool) -> Predicate | None:
            return None if has_partner and can_hold(medication) else settled(has_partner and not wanted)

        return Predicate(test, no_facts, frozenset({"active"}), for_drug=for_drug)

    return Condition(word, meaning, read, BOOLEAN, lambda _spec: word.replace("_", " "), MEDICATIONS)


def _is_same_product(context: RuleContext) -> bool:
    return is_same_product(context.medication, context.partners[0].medication)


def _is_dose_change(context: RuleContext) -> bool:
    """Whether the draft is the partner's drug in another strength, and doubling it is no grave error by itself."""
    mine, theirs = context.medication, context.partners[0].medication
    if drug_codes(mine) != drug_codes(theirs) or not _DANGEROUS_TWICE.isdisjoint(mine.classes):
        return False
    return not is_other_way(mine, theirs) and not is_other_release(mine, theirs)


def _is_other_release(context: RuleContext) -> bool:
    return is_other_release(context.medication, context.partners[0].medication)


def _is_other_way(context: RuleContext) -> bool:
    return is_other_way(context.medication, context.partners[0].medication)


def _is_topical_and_swallowed(context: RuleContext) -> bool:
    return is_topical_and_swallowed(context.medication, context.partners[0].medication)


def _is_local(medication: MedicationIdentity) -> bool:
    return medication.systemic is False


def _are_both_local(context: RuleContext) -> bool:
    return _is_local(context.medication) and _is_local(context.partners[0].medication)


def _is_of_class_left_out(medication: MedicationIdentity) -> bool:
    return not medication.classes.isdisjoint(_NOT_DUPLICATES)


def _is_left_out(context: RuleContext) -> bool:
    return _is_of_class_left_out(context.medication)


def _is_single_drug(context: RuleContext) -> bool:
    return len(context.partners[0].medication.ingredients) == 1


def _is_drafted(context: RuleContext) -> bool:
    return context.partners[0].drafted is not None


def _is_switch(context: RuleContext) -> bool:
    """Whether the other order has a known end in the next 14 days."""
    return context.session.days_left(context.partners[0]) <= _SWITCH_DAYS


# Words


def _total(context: RuleContext) -> str:
    return format_number(total_mg(context, ACETAMINOPHEN)[0], [MOST_MG])


def _count(context: RuleContext) -> str:
    number = 1 + len(counted(context, ACETAMINOPHEN))
    return "in this order" if number == 1 else f"across {number} orders"


def _holds_acetaminophen(medication: MedicationIdentity) -> bool:
    return medication.has(ACETAMINOPHEN)


def _is_in_the_sum(context: RuleContext) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures, and its known sum is within the limit."""
    if not _is_in_mixtures(context):
        return False
    total, is_whole = total_mg(context, ACETAMINOPHEN)
    return is_whole and total <= MOST_MG


def _is_in_mixtures(context: RuleContext) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures."""
    mine, theirs = set(context.medication.rxcuis), set(context.partners[0].medication.rxcuis)
    return mine & theirs == {ACETAMINOPHEN} and mine != theirs


def _shared(context: RuleContext) -> str | None:
    """The ingredient that both hold."""
    if not context.partners:
        return None
    theirs = set(context.partners[0].medication.rxcuis)
    name = next((one.name for one in context.medication.ingredients if one.rxcui in theirs), None)
    return f"{name[:1].upper()}{name[1:]}" if name is not None else None


def _other_order(context: RuleContext) -> str | None:
    if not context.partners:
        return None
    partner = context.partners[0]
    where = (
        "drafted too" if partner.drafted is not None else f"since {partner.since[:10]}" if partner.since else "active"
    )
    return f"{plain(partner.medication.words, 50)}, {where}"


def _class_words(context: RuleContext) -> str | None:
    found = shared_class(context) if context.partners else None
    return found[0] if found is not None else None


def _other_drug(context: RuleContext) -> str | None:
    found = shared_class(context) if context.partners else None
    return found[1] if found is not None else None


def _mg_per_kg(context: RuleContext) -> str | None:
    dose = context.dose_mg_per_kg_per_day
    return format_number(dose, [75]) if dose is not None else None


def _weight(context: RuleContext) -> str | None:
    return format_number(context.weight_kg) if context.weight_kg is not None else None


FAMILY = Family(
    "duplicate",
    placeholders={
        "total": _total,
        "orders": _count,
        "shared": _shared,
        "order": _other_order,
        "class": _class_words,
        "other_drug": _other_drug,
        "mgkg": _mg_per_kg,
        "weight": _weight,
    },
    longest={
        "total": "12,000",
        "orders": "across 10 orders",
        "shared": "sulfamethoxazole",
        "order": f"{'o' * 50}, since 2026-11-20",
        "class": "systemic corticosteroids",
        "other_drug": "hydrochlorothiazide",
        "mgkg": "100.5",
        "weight": "39.5",
    },
    conditions=(
        Condition(
            "duplicate",
            "the partner holds the same ingredient (`level` `ingredient`), both orders running together for "
            "`overlap_days_ge` days, or is of the same class (`class`)",
            _duplicate,
            members(
                ("level",), level={"enum": ["ingredient", "class"]}, overlap_days_ge={"type": "number", "minimum": 0}
            ),
            _duplicate_wording,
            MEDICATIONS,
        ),
        DAILY_TOTAL,
        _of_partner("same_product", "both are of one product", _is_same_product),
        _of_partner(
            "dose_change",
            "both hold the same drugs, given in the same way and released alike; no opioid and no anticoagulant",
            _is_dose_change,
        ),
        _of_partner("both_drafted", "the other order is a draft too", _is_drafted),
        _of_partner("other_release", "only one of the two releases slowly", _is_other_release),
        _of_partner("other_way", "the two are given in different ways", _is_other_way),
        _of_partner(
            "topical_and_swallowed", "one acts where it is put, the other is swallowed", _is_topical_and_swallowed
        ),
        _of_partner("both_local", "both act only where they are put", _are_both_local, _is_local),
        _of_partner(
            "left_out", "the drug is of a class that is not counted as a duplicate", _is_left_out, _is_of_class_left_out
        ),
        _of_partner(
            "in_the_sum",
            "only acetaminophen is shared, in different mixtures, and its sum is known and within the limit",
            _is_in_the_sum,
            _holds_acetaminophen,
        ),
        _of_partner(
            "in_mixtures",
            "only acetaminophen is shared, in different mixtures",
            _is_in_mixtures,
            _holds_acetaminophen,
        ),
        _of_partner("single_drug", "the partner holds one ingredient", _is_single_drug),
        _of_partner("switch_in_progress", "the other order has a known end in the next 14 days", _is_switch),
    ),
    changes={"to_three_grams": to_three_grams},
)
