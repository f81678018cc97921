"""Duplicates: three rules of duplicate.json, with the words, conditions and the change that only they use."""

from collections.abc import Callable

from cards.markdown import plain
from cards.rules.chart import Taken
from cards.rules.condition import Condition, Spec, floor_comparison, only
from cards.rules.fact import Fact
from cards.rules.family import Family
from cards.rules.figures import show, show_dose
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.rule import Change, RuleError, Sig
from cards.rules.same_product import (
    is_other_release,
    is_other_way,
    is_same_product,
    is_topical_and_swallowed,
    overlap_days,
)
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.wording import compared
from fhir.mapping.dose import DailyDose
from fhir.terminology.medications import classes_of

ACETAMINOPHEN = "161"
_MOST_MG, _GOAL_MG, _LARGEST_DOSE_MG = 4000.0, 3000.0, 1000.0
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


# The daily sum


def _counted(situation: Situation, rxcui: str) -> list[Taken]:
    """What holds the ingredient beside the draft, without the order that the draft renews or changes."""
    beside = situation.chart.taken_beside(situation.drafted, (rxcui,))
    return [
        one for one in beside if one.drafted is not None or not is_same_product(situation.medication, one.medication)
    ]


def _high(dose: DailyDose, rxcui: str) -> float | None:
    daily = dose.daily(rxcui)
    return daily.high if daily is not None else None


def total_mg(situation: Situation, rxcui: str) -> tuple[float, bool]:
    """Milligrams a day of the draft and what is taken beside it, and whether that is all of it."""
    doses = [_high(one.dose, rxcui) for one in _counted(situation, rxcui) if not one.dose.single]
    doses.append(_high(situation.drafted.dose, rxcui))
    return sum(one for one in doses if one is not None), None not in doses


def _daily_total_mg(spec: Spec) -> Predicate:
    inner = only(spec, "daily_total_mg")["daily_total_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = floor_comparison(inner, "ingredient")

    def test(situation: Situation) -> Truth:
        return compare(*total_mg(situation, rxcui)) if situation.medication.has(rxcui) else False

    def facts(situation: Situation) -> list[Fact]:
        own = situation.number_facts("daily_dose_mg") if situation.ingredient.rxcui == rxcui else []
        return [*own, *(_dose_fact(one, rxcui) for one in _counted(situation, rxcui))]

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def _dose_fact(one: Taken, rxcui: str) -> Fact:
    high = _high(one.dose, rxcui)
    said = f", {show(high)} mg/day" if high is not None else ""
    return Fact("medication", f"{plain(one.medication.words)}{said}", one.medication.name, None, one.since, one.source)


def _to_three_grams(situation: Situation) -> Change | None:
    """Fewer or smaller doses of the same product, so that the sum is at most 3 g; None where it cannot be."""
    if situation.medication.rxcuis != (ACETAMINOPHEN,):
        return None
    known, is_whole = total_mg(situation, ACETAMINOPHEN)
    own = _high(situation.drafted.dose, ACETAMINOPHEN)
    if own is None or not is_whole:
        return None
    left = _GOAL_MG - (known - own)
    unit = _unit_mg(situation)
    choices = [
        (dose * times, times, dose)
        for dose in (unit, 2 * unit)
        for times in (1, 2, 3, 4)
        if dose <= _LARGEST_DOSE_MG and dose * times <= left
    ]
    if not choices:
        return None
    _, times, dose = max(choices)
    often = {1: "once a day", 2: "twice a day"}.get(times, f"{times} times a day")
    return Change(sig=Sig(f"{show_dose(dose)} mg {often}", dose, times_per_day=times))


def _unit_mg(situation: Situation) -> float:
    """The strength of one unit of the product, 500 mg where it does not say."""
    strength = situation.medication.strengths[0]
    milligrams = strength.milligrams if strength is not None and strength.per == "unit" else None
    return milligrams or 500.0


# Words


def _total(situation: Situation) -> str:
    return show(total_mg(situation, ACETAMINOPHEN)[0], [_MOST_MG])


def _count(situation: Situation) -> str:
    number = 1 + len(_counted(situation, ACETAMINOPHEN))
    return "1 order" if number == 1 else f"{number} orders"


def _is_in_the_sum(situation: Situation) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures, and its known sum is within the limit."""
    mine, theirs = set(situation.medication.rxcuis), set(situation.partners[0].medication.rxcuis)
    total, is_whole = total_mg(situation, ACETAMINOPHEN)
    return mine & theirs == {ACETAMINOPHEN} and mine != theirs and is_whole and total <= _MOST_MG


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
        "daily_total_mg": Condition(
            _daily_total_mg,
            {
                "type": "object",
                "required": ["ingredient", "gt"],
                "properties": {"ingredient": {"$ref": "#/$defs/drug"}, "gt": {"type": "number"}},
                "additionalProperties": False,
            },
            lambda spec: compared(
                f"mg a day of {spec['daily_total_mg']['ingredient']['name']} in all", spec["daily_total_mg"]
            ),
        ),
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
    changes={"to_three_grams": _to_three_grams},
)
