"""Duplicates: three rules of duplicate.json, with the words, conditions and the change that only they use."""

from collections.abc import Callable

from cards.markdown import plain
from cards.rules.condition import Condition, Spec, only
from cards.rules.daily_sum import ACETAMINOPHEN, DAILY_TOTAL, MOST_MG, counted, to_three_grams, total_mg
from cards.rules.family import Family
from cards.rules.figures import show
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.rule import RuleError
from cards.rules.same_product import (
    is_other_release,
    is_other_way,
    is_same_product,
    is_topical_and_swallowed,
    overlap_days,
)
from cards.rules.selector import Selector
from cards.rules.situation import Situation
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
# Known ends within so many days: the drug is being replaced (the renewal row counts the same 14 days).
_SWITCH_DAYS = 14.0


# The other order


def shared_class(situation: Situation) -> tuple[str, str] | None:
    """What the draft and the partner both are, and the partner's drug that is it; None where nothing counts.

    An ingredient that both hold is no second drug of its class.
    """
    partner = situation.partners[0].medication
    if partner.systemic is False or _CHECKED.isdisjoint(situation.medication.classes & partner.classes):
        return None
    mine = [one for one in situation.medication.ingredients if not partner.has(one.rxcui)]
    theirs = [one for one in partner.ingredients if not situation.medication.has(one.rxcui)]
    for name, words in CLASSES.items():
        other = next((one.name for one in theirs if name in classes_of((one,))), None)
        if other is not None and any(name in classes_of((one,)) for one in mine):
            return words, other
    if _LONG_ACTING_OPIOID.matches(situation.medication) and _LONG_ACTING_OPIOID.matches(partner) and mine and theirs:
        return "long-acting opioids", theirs[0].name
    return None


def _shares_ingredient(situation: Situation) -> bool:
    return bool(set(situation.medication.rxcuis) & set(situation.partners[0].medication.rxcuis))


def _duplicate(spec: Spec) -> Predicate:
    wanted = only(only(spec, "duplicate")["duplicate"], "level", "overlap_days_ge")
    level, least = wanted.get("level"), float(wanted.get("overlap_days_ge", 0))
    if level not in ("ingredient", "class"):
        raise RuleError(f"duplicate: level is {level!r}")

    def test(situation: Situation) -> Truth:
        if not situation.partners:
            return False
        if level == "class":
            return shared_class(situation) is not None
        return _shares_ingredient(situation) and overlap_days(situation) >= least

    return Predicate(test, no_facts, frozenset({"active"}))


def _of_partner(word: str, holds: Callable[[Situation], bool]) -> Condition:
    """A condition about the draft and the partner that is looked at; false where there is none."""

    def read(spec: Spec) -> Predicate:
        wanted = only(spec, word)[word]

        def test(situation: Situation) -> Truth:
            return bool(situation.partners) and holds(situation) is wanted

        return Predicate(test, no_facts, frozenset({"active"}))

    return Condition(read, {"type": "boolean"}, lambda _spec: word.replace("_", " "))


def _is_drafted(situation: Situation) -> bool:
    return situation.partners[0].drafted is not None


def _is_switch(situation: Situation) -> bool:
    """Whether the other order has a known end in the next 14 days."""
    return situation.chart.days_left(situation.partners[0]) <= _SWITCH_DAYS


# Words


def _total(situation: Situation) -> str:
    return show(total_mg(situation, ACETAMINOPHEN)[0], [MOST_MG])


def _count(situation: Situation) -> str:
    number = 1 + len(counted(situation, ACETAMINOPHEN))
    return "1 order" if number == 1 else f"{number} orders"


def _is_in_the_sum(situation: Situation) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures, and its known sum is within the limit."""
    mine, theirs = set(situation.medication.rxcuis), set(situation.partners[0].medication.rxcuis)
    total, is_whole = total_mg(situation, ACETAMINOPHEN)
    return mine & theirs == {ACETAMINOPHEN} and mine != theirs and is_whole and total <= MOST_MG


def _shared(situation: Situation) -> str | None:
    """The ingredient that both hold."""
    if not situation.partners:
        return None
    theirs = set(situation.partners[0].medication.rxcuis)
    name = next((one.name for one in situation.medication.ingredients if one.rxcui in theirs), None)
    return f"{name[:1].upper()}{name[1:]}" if name is not None else None


def _other_order(situation: Situation) -> str | None:
    if not situation.partners:
        return None
    partner = situation.partners[0]
    where = (
        "drafted too" if partner.drafted is not None else f"since {partner.since[:10]}" if partner.since else "active"
    )
    return f"{plain(partner.medication.words, 50)}, {where}"


def _class_words(situation: Situation) -> str | None:
    found = shared_class(situation) if situation.partners else None
    return found[0] if found is not None else None


def _other_drug(situation: Situation) -> str | None:
    found = shared_class(situation) if situation.partners else None
    return found[1] if found is not None else None


def _mg_per_kg(situation: Situation) -> str | None:
    dose = situation.dose_mg_per_kg_per_day
    return show(dose, [75]) if dose is not None else None


def _weight(situation: Situation) -> str | None:
    return show(situation.weight_kg) if situation.weight_kg is not None else None


FAMILY = Family(
    "duplicate",
    words={
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
        "orders": "10 orders",
        "shared": "sulfamethoxazole",
        "order": f"{'o' * 50}, since 2026-11-20",
        "class": "systemic corticosteroids",
        "other_drug": "hydrochlorothiazide",
        "mgkg": "100.5",
        "weight": "39.5",
    },
    conditions={
        "duplicate": Condition(
            _duplicate,
            {
                "type": "object",
                "required": ["level"],
                "properties": {
                    "level": {"enum": ["ingredient", "class"]},
                    "overlap_days_ge": {"type": "number", "minimum": 0},
                },
                "additionalProperties": False,
            },
            lambda spec: (
                f"the same {spec['duplicate']['level']}"
                + (
                    f", {spec['duplicate']['overlap_days_ge']} days or more together"
                    if "overlap_days_ge" in spec["duplicate"]
                    else ""
                )
            ),
        ),
        "daily_total_mg": DAILY_TOTAL,
        "same_product": _of_partner(
            "same_product",
            lambda situation: is_same_product(situation.medication, situation.partners[0].medication),
        ),
        "both_drafted": _of_partner("both_drafted", _is_drafted),
        "other_release": _of_partner(
            "other_release",
            lambda situation: is_other_release(situation.medication, situation.partners[0].medication),
        ),
        "other_way": _of_partner(
            "other_way",
            lambda situation: is_other_way(situation.medication, situation.partners[0].medication),
        ),
        "topical_and_swallowed": _of_partner(
            "topical_and_swallowed",
            lambda situation: is_topical_and_swallowed(situation.medication, situation.partners[0].medication),
        ),
        "both_local": _of_partner(
            "both_local",
            lambda situation: (
                situation.medication.systemic is False and situation.partners[0].medication.systemic is False
            ),
        ),
        "left_out": _of_partner(
            "left_out",
            lambda situation: bool(situation.medication.classes & _NOT_DUPLICATES),
        ),
        "in_the_sum": _of_partner("in_the_sum", _is_in_the_sum),
        "single_drug": _of_partner(
            "single_drug", lambda situation: len(situation.partners[0].medication.ingredients) == 1
        ),
        "switch_in_progress": _of_partner("switch_in_progress", _is_switch),
    },
    changes={"to_three_grams": to_three_grams},
)
