"""Duplicates: whether two orders are of one product, how long they run side by side, and their daily sum of a drug.

Acetaminophen beyond the limit is brought back to 3 g.
"""

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Annotated, Final

from msgspec import Meta

from cards.extension import Fact
from cards.rules.conditions.condition import (
    BOOLEAN,
    MEDICATION_LISTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    compared,
    floor_comparison,
    members,
    one_of,
    with_value,
)
from cards.rules.engine.family import Family, Fill, Placeholder, written
from cards.rules.families.duplicate import dose_change
from cards.rules.language.rule import Drug, OrderChange, Sig
from cards.rules.language.trigger import Selector
from cards.rules.patient.alternatives import are_meant_together, are_taken_by_turns, gives_a_second_load
from cards.rules.patient.context import RuleContext, dose_fact
from cards.rules.patient.orders import CurrentMedication, is_other_name
from cards.text import capitalized, format_dose, format_number, plain
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.medication_names import CARRIERS
from fhir.terminology.medications import Ingredient, atc_codes, classes_of
from fhir.terminology.package_tables import package_rows

# WHO's groups of what is inhaled or put on the skin, into the nose, the eye and the ear.
_NEVER_SWALLOWED = ("R03A", "R03B", "R01A", "D", "S01", "S02", "S03")
_OF_THE_AIRWAYS = ("R03",)
_FLUSH = re.compile(r"flush|lock|dwell|irrigat|priming|dialys", re.IGNORECASE)


def is_other_release(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether one of them releases slowly and the other does not."""
    return first.is_slow_release is not second.is_slow_release


def is_other_way(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether they are given in different ways: on the skin and by mouth, by mouth and injected."""
    if (first.systemic is False) is not (second.systemic is False) and not _are_both_inhaled(first, second):
        return True
    return first.is_injected is not second.is_injected


def _are_both_inhaled(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether both are for the lungs ("Advair" and "Serevent Diskus"), and the first is not a reliever."""
    return _RELIEVERS.isdisjoint(first.rxcuis) and _sites(first) == _sites(second) == {"lungs"}


def is_topical_and_swallowed(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether one acts where it is put and the other is taken by mouth; a flush of a catheter is neither."""
    local, systemic = (first, second) if first.systemic is False else (second, first)
    flush = _FLUSH.search(f"{local.words} {local.route}") is not None
    if local.systemic is not False or systemic.systemic is False or systemic.is_injected or flush:
        return False
    return not _is_only(systemic.ingredients, _NEVER_SWALLOWED)


def _is_only(ingredients: Iterable[Ingredient], groups: tuple[str, ...]) -> bool:
    codes = [code for ingredient in ingredients for code in atc_codes(ingredient)]
    return bool(codes) and all(code.startswith(groups) for code in codes)


def drug_codes(medication: MedicationIdentity) -> frozenset[str]:
    """Return the RxNorm codes of its drugs without the saline or glucose that carries them in an infusion."""
    return frozenset(medication.rxcuis) - CARRIERS or frozenset(medication.rxcuis)


def is_same_product(first: MedicationIdentity, second: MedicationIdentity) -> bool:
    """Whether they are the same drugs of the same strength given in the same way; a strength not stated fits."""
    if first.rxnorm is not None and first.rxnorm == second.rxnorm:
        return True
    if drug_codes(first) != drug_codes(second) or is_other_way(first, second) or is_other_release(first, second):
        return False
    mine = dict(zip(first.rxcuis, first.strengths, strict=True))
    theirs = dict(zip(second.rxcuis, second.strengths, strict=True))
    pairs = ((mine[rxcui], theirs[rxcui]) for rxcui in drug_codes(first))
    return all(mine_ is None or theirs_ is None or mine_ == theirs_ for mine_, theirs_ in pairs)


def overlap_days(context: RuleContext) -> float:
    """Days that the draft and the partner run together; without a known end as long as the other one does."""
    dose = context.drafted.dose
    drafted_days = 1.0 if dose.single else dose.duration_days
    partner_days = context.session.days_left(context.partners[0])
    return min(drafted_days if drafted_days is not None else float("inf"), partner_days)


ACETAMINOPHEN = "161"
MOST_MG = 4000.0
_GOAL_MG, _LARGEST_DOSE_MG = 3000.0, 1000.0


def counted(context: RuleContext, rxcui: str) -> list[CurrentMedication]:
    """Return what holds the ingredient beside the draft, without what it renews or changes, or is given in place of."""
    beside = context.session.medications_beside(context.drafted, (rxcui,))
    return [
        medication
        for medication in beside
        if not are_taken_by_turns(context.drafted.order, medication.order)
        and (
            medication.drafted is not None
            or is_other_name(context.medication, medication.medication)
            or not is_same_product(context.medication, medication.medication)
        )
    ]


def total_mg(context: RuleContext, rxcui: str) -> tuple[float, bool]:
    """Milligrams a day of the draft and what is taken beside it, and whether that is all of it."""
    beside = (medication.dose for medication in counted(context, rxcui) if not medication.dose.single)
    doses = [dose.most_a_day(rxcui) for dose in (*beside, context.drafted.dose)]
    return sum(dose for dose in doses if dose is not None), None not in doses


def _daily_total_mg(spec: Spec) -> Predicate:
    inner = spec["daily_total_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = floor_comparison(inner)

    def test(context: RuleContext) -> Truth:
        return compare(*total_mg(context, rxcui)) if context.medication.has(rxcui) else False

    def facts(context: RuleContext) -> list[Fact]:
        drafted_facts = context.number_facts("daily_dose_mg") if context.ingredient.rxcui == rxcui else []
        beside = counted(context, rxcui)
        return [*drafted_facts, *(dose_fact(medication, medication.dose.most_a_day(rxcui)) for medication in beside)]

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def to_three_grams(context: RuleContext) -> OrderChange | None:
    """Fewer or smaller doses of the same product, so that the sum is at most 3 g; None where it cannot be."""
    if context.medication.rxcuis != (ACETAMINOPHEN,):
        return None
    known_mg, is_whole = total_mg(context, ACETAMINOPHEN)
    drafted_mg = context.drafted.dose.most_a_day(ACETAMINOPHEN)
    if drafted_mg is None or not is_whole:
        return None
    room_mg = _GOAL_MG - (known_mg - drafted_mg)
    unit = _unit_mg(context)
    choices = [
        (dose * times, times, dose)
        for dose in (unit, 2 * unit)
        for times in (1, 2, 3, 4)
        if dose <= _LARGEST_DOSE_MG and dose * times <= room_mg
    ]
    if not choices:
        return None
    _, times, dose = max(choices)
    often = {1: "once a day", 2: "twice a day"}.get(times, f"{times} times a day")
    text = f"{format_dose(dose)} mg {often}"
    total = format_dose(known_mg - drafted_mg + dose * times)
    return OrderChange(
        sig=Sig(text, dose, times_per_day=times), label=f"Reduce to {text}: {total} mg/day in all orders"
    )


def _unit_mg(context: RuleContext) -> float:
    """Return the strength of one unit of the product, 500 mg where it does not say."""
    strength = context.medication.strengths[0]
    milligrams = strength.milligrams if strength is not None and strength.per == "unit" else None
    return milligrams or 500.0


DAILY_TOTAL = Condition(
    "daily_total_mg",
    "milligrams a day of `ingredient` in the draft and everything beside it are over `gt`; true as soon as the known "
    "part is",
    _daily_total_mg,
    members(("ingredient", "gt"), ingredient=Drug, gt=float),
    lambda spec: compared(f"mg a day of {spec['daily_total_mg']['ingredient']['name']} in all", spec["daily_total_mg"]),
    MEDICATION_LISTS,
)


CLASSES: Final = {row["class"]: row["name"] for row in package_rows("cards.rules.families.duplicate", "classes.csv")}
"""What the classes that are compared are called in a sentence."""
_CHECKED = frozenset({*CLASSES, "opioid"})
_ORAL_OPIOID = Selector(
    classes=frozenset({"opioid"}), exclude_classes=frozenset({"opioid_partial_agonist"}), route="oral"
)
_PATCH = Selector(classes=frozenset({"opioid"}), dose_forms=("transdermal system", "patch"))
_METHADONE, _LEVORPHANOL, _FLUDROCORTISONE = "6813", "6378", "4452"
# In a mixture these serve the other drug; alone they are for an overdose, or more of what serves.
_NALOXONE, _CARBIDOPA = "7242", "2019"
# Left out of the ingredient rule: fluids, short insulin, electrolytes, vitamins and laxatives (CLARIFICATIONS).
_NOT_DUPLICATES = frozenset({"electrolyte_fluid", "insulin", "potassium", "vitamin", "laxative"})
_LONG_INSULINS = frozenset({"274783", "1670007", "139825"})  # glargine, degludec, detemir
# Two orders of these together can kill: a second strength of them stays a warning.
_DANGEROUS_TWICE = frozenset({"opioid", "opioid_partial_agonist", "anticoagulant", "doac", "heparin", "vka"})
# Known ends within so many days: the drug is being replaced (the renewal row counts the same 14 days).
_SWITCH_DAYS = 14.0


# The other order


def shared_class(context: RuleContext) -> tuple[str, str, str] | None:
    """Return what both are, and the drug of the draft and that of the partner that are it; None where nothing counts.

    An ingredient that both hold is not a second drug of its class.
    """
    partner = context.partners[0].medication
    shared_classes = context.medication.classes & partner.classes
    if partner.systemic is False or _CHECKED.isdisjoint(shared_classes):
        return None
    mine = [ingredient for ingredient in context.medication.ingredients if not partner.has(ingredient.rxcui)]
    theirs = [ingredient for ingredient in partner.ingredients if not context.medication.has(ingredient.rxcui)]
    for name, words in CLASSES.items():
        if name not in shared_classes:
            continue
        own_drug, other_drug = _of_class(name, mine), _of_class(name, theirs)
        if own_drug is not None and other_drug is not None:
            return words, own_drug, other_drug
    own_opioid, other_opioid = _of_class("opioid", mine), _of_class("opioid", theirs)
    if own_opioid is None or other_opioid is None:
        return None
    if _is_long_acting(context.medication) and _is_long_acting(partner):
        return "long-acting opioids", own_opioid, other_opioid
    if _ORAL_OPIOID.matches(context.medication) and _ORAL_OPIOID.matches(partner):
        is_long = _is_long_acting(context.medication) or _is_long_acting(partner)
        return None if is_long else ("short-acting opioids by mouth", own_opioid, other_opioid)
    return None


def _of_class(name: str, ingredients: Iterable[Ingredient]) -> str | None:
    """Return the first ingredient of the class; fludrocortisone, given beside a glucocorticoid, is none of it."""
    others = (ingredient for ingredient in ingredients if ingredient.rxcui != _FLUDROCORTISONE)
    return next((ingredient.name for ingredient in others if name in classes_of((ingredient,))), None)


def _is_long_acting(medication: MedicationIdentity) -> bool:
    acts_long = medication.has(_METHADONE) or medication.has(_LEVORPHANOL)
    return acts_long or medication.is_slow_release is True or _PATCH.matches(medication)


def _duplicate(wanted: Spec, context: RuleContext) -> Truth:
    if not context.partners:
        return False
    if wanted["level"] == "class":
        return shared_class(context) is not None
    mine, theirs = set(context.medication.rxcuis), set(context.partners[0].medication.rxcuis)
    is_companion = mine != theirs and (mine & theirs) in ({_NALOXONE}, {_CARBIDOPA}) and mine & theirs in (mine, theirs)
    if not mine & theirs or is_companion:
        return False
    return overlap_days(context) >= wanted.get("overlap_days_ge", 0) or (mine == theirs and _loads_twice(context))


def _loads_twice(context: RuleContext) -> bool:
    """Whether one of two drafts is a single dose, and the other begins with one of its own."""
    draft, partner = context.drafted, context.partners[0]
    if partner.drafted is None or draft.dose.single is partner.dose.single:
        return False
    first, other = (draft, partner) if draft.dose.single else (partner, draft)
    return gives_a_second_load(first.order, other.order)


def _duplicate_wording(wanted: Spec) -> str:
    together = f", {wanted['overlap_days_ge']} days or more together" if "overlap_days_ge" in wanted else ""
    return f"the same {wanted['level']}{together}"


def _of_partner(word: str, meaning: str, holds: Callable[[RuleContext, CurrentMedication], bool]) -> Condition:
    """Return a condition about the draft and the partner that is looked at; false where there is none."""
    phrase = word.replace("_", " ")
    return with_value(
        word,
        BOOLEAN,
        lambda wanted, context: bool(context.partners) and holds(context, context.partners[0]) is wanted,
        lambda wanted: phrase if wanted else f"not ({phrase})",
        meaning,
        frozenset({"active"}),
        needs=MEDICATION_LISTS,
    )


def _compared_drugs(
    word: str, meaning: str, compare: Callable[[MedicationIdentity, MedicationIdentity], bool]
) -> Condition:
    """Return a condition that compares the drafted medication with that of the partner."""
    return _of_partner(word, meaning, lambda context, partner: compare(context.medication, partner.medication))


def _is_left_out(drafted: MedicationIdentity) -> bool:
    """Whether a second order is often meant: not of a long-acting insulin, of which one product is given."""
    return not drafted.classes.isdisjoint(_NOT_DUPLICATES) and _LONG_INSULINS.isdisjoint(drafted.rxcuis)


def _is_dose_change(drafted: MedicationIdentity, partner: MedicationIdentity) -> bool:
    """Whether they are one drug in two strengths, and taking it twice is not a grave error by itself."""
    is_dangerous = not (_DANGEROUS_TWICE.isdisjoint(drafted.classes) and _LONG_INSULINS.isdisjoint(drafted.rxcuis))
    if drug_codes(drafted) != drug_codes(partner) or is_dangerous:
        return False
    return not is_other_way(drafted, partner) and not is_other_release(drafted, partner)


_SITES = {
    "eye": re.compile(r"ophthalm|\beyes?\b|ocular|conjunctiv", re.IGNORECASE),
    "nose": re.compile(r"nasal|nostril|\bnose\b|intranasal", re.IGNORECASE),
    "lungs": re.compile(r"inhal|\bpuffs?\b|nebuli|ellipta|diskus|respimat|\bhfa\b", re.IGNORECASE),
}
# A reliever belongs beside its mixture with another bronchodilator, and beside the same drug for a nebuliser.
_RELIEVERS = frozenset({"435", "237159", "7213"})  # albuterol, levalbuterol, ipratropium


def _sites(medication: MedicationIdentity) -> set[str]:
    words = f"{medication.route} {medication.dose_form} {medication.words}"
    sites = {site for site, pattern in _SITES.items() if pattern.search(words)}
    # What is for the airways only is inhaled where it is a local form: "Symbicort".
    return sites or {"lungs" for ingredient in medication.ingredients if _is_only((ingredient,), _OF_THE_AIRWAYS)}


def _are_both_local(drafted: MedicationIdentity, partner: MedicationIdentity) -> bool:
    """Whether both are local forms, unless both are put into the eyes, the nose or the lungs and are not relievers."""
    if drafted.systemic is not False or partner.systemic is not False:
        return False
    if not _RELIEVERS.isdisjoint(drafted.rxcuis) and not _RELIEVERS.isdisjoint(partner.rxcuis):
        return True
    return len(_sites(drafted)) != 1 or _sites(drafted) != _sites(partner)


def _is_in_mixtures(drafted: MedicationIdentity, partner: MedicationIdentity) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures."""
    first, second = set(drafted.rxcuis), set(partner.rxcuis)
    return first & second == {ACETAMINOPHEN} and first != second


def _is_in_the_sum(context: RuleContext, partner: CurrentMedication) -> bool:
    """Whether acetaminophen is all that they share, in different mixtures, and its known sum is within the limit."""
    if not _is_in_mixtures(context.medication, partner.medication):
        return False
    total, is_whole = total_mg(context, ACETAMINOPHEN)
    return is_whole and total <= MOST_MG


def _is_switch(context: RuleContext, partner: CurrentMedication) -> bool:
    """Whether the other order has a known end in the next 14 days."""
    return context.session.days_left(partner) <= _SWITCH_DAYS


# Words


def _count(context: RuleContext) -> str:
    number = 1 + len(counted(context, ACETAMINOPHEN))
    if number > 1:
        return f"across {number} orders"
    each = context.drafted.dose.per_dose_of(ACETAMINOPHEN)
    is_one_dose = each is not None and each.high == context.drafted.dose.most_a_day(ACETAMINOPHEN)
    return "in one dose" if is_one_dose else "in this order"


def _how_counted(context: RuleContext) -> str:
    """Return what the sum holds: of one order only that as-needed doses count, which it may not have."""
    if counted(context, ACETAMINOPHEN):
        return (
            "Combination products are counted, and as-needed orders at their maximum. Cancel or reduce one order, or "
            "write in both that they are alternatives."
        )
    as_needed = "As-needed doses are counted at their maximum. " if context.drafted.dose.as_needed else ""
    return f"{as_needed}Check the dose and its unit."


def _shared(context: RuleContext) -> str | None:
    """Return the ingredient that both hold."""
    if not context.partners:
        return None
    theirs = set(context.partners[0].medication.rxcuis)
    name = next((ingredient.name for ingredient in context.medication.ingredients if ingredient.rxcui in theirs), None)
    return capitalized(name) if name is not None else None


def _other_order(context: RuleContext) -> str | None:
    if not context.partners:
        return None
    partner = context.partners[0]
    where = (
        "drafted too" if partner.drafted is not None else f"since {partner.since[:10]}" if partner.since else "active"
    )
    return f"{plain(partner.medication.words, 47)}, {where}"


def _of_shared_class(part: int, write: Callable[[str], str] = str) -> Fill:
    """Return the placeholder of one part of the shared class: its words, the drafted drug, the other drug."""
    return written(
        lambda context: shared_class(context) if context.partners else None, lambda shared: write(shared[part])
    )


FAMILY = Family(
    "duplicate",
    placeholders={
        "total": Placeholder(lambda context: format_dose(total_mg(context, ACETAMINOPHEN)[0], [MOST_MG]), "12,000"),
        "orders": Placeholder(_count, "across 10 orders"),
        "counted": Placeholder(_how_counted, "Combination products are counted."),
        "shared": Placeholder(_shared, "sulfamethoxazole"),
        "order": Placeholder(_other_order, f"{'o' * 50}, since 2026-11-20"),
        "class": Placeholder(_of_shared_class(0), "systemic corticosteroids"),
        "Own_drug": Placeholder(_of_shared_class(1, capitalized), "Hydrochlorothiazide"),
        "other_drug": Placeholder(_of_shared_class(2), "hydrochlorothiazide"),
        "weight": Placeholder(written(attrgetter("weight_kg"), format_number), "39.5"),
        **dose_change.PLACEHOLDERS,
    },
    conditions=(
        with_value(
            "duplicate",
            members(("level",), level=one_of("ingredient", "class"), overlap_days_ge=Annotated[float, Meta(ge=0)]),
            _duplicate,
            _duplicate_wording,
            "the partner holds the same ingredient (`level` `ingredient`), both orders running together for "
            "`overlap_days_ge` days, or is of the same class (`class`)",
            frozenset({"active"}),
            needs=MEDICATION_LISTS,
        ),
        DAILY_TOTAL,
        *dose_change.WORDS,
        _compared_drugs("same_product", "both are of one product", is_same_product),
        _compared_drugs(
            "other_name",
            "they are ordered by two brands, or one by a brand and the other by the name of its drug",
            is_other_name,
        ),
        _compared_drugs(
            "dose_change",
            "both hold the same drugs, given in the same way and released alike; no opioid, no anticoagulant",
            _is_dose_change,
        ),
        _of_partner("both_drafted", "the other order is a draft too", lambda _, partner: partner.drafted is not None),
        _compared_drugs("other_release", "only one of the two releases slowly", is_other_release),
        _compared_drugs("other_way", "the two are given in different ways", is_other_way),
        _compared_drugs(
            "topical_and_swallowed", "one acts where it is put, the other is swallowed", is_topical_and_swallowed
        ),
        _compared_drugs(
            "both_local", "both act only where they are put, and not both in the eyes, nose or lungs", _are_both_local
        ),
        _of_partner(
            "left_out",
            "the drug is of a class that is not counted as a duplicate",
            lambda context, _: _is_left_out(context.medication),
        ),
        _of_partner(
            "in_the_sum",
            "only acetaminophen is shared, in different mixtures, and its sum is known and within the limit",
            _is_in_the_sum,
        ),
        _compared_drugs("in_mixtures", "only acetaminophen is shared, in different mixtures", _is_in_mixtures),
        _of_partner(
            "single_drug",
            "the partner holds one ingredient",
            lambda _, partner: len(partner.medication.ingredients) == 1,
        ),
        _of_partner(
            "meant_together",
            "the words of both orders say why both stand: one in place of the other, each for another severity, or a "
            "bolus before an infusion",
            lambda context, partner: are_meant_together(context.drafted.order, partner.order),
        ),
        _of_partner("switch_in_progress", "the other order has a known end in the next 14 days", _is_switch),
    ),
    changes={"to_three_grams": to_three_grams},
)
