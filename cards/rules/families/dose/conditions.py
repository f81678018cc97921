"""The conditions that only rules of doses use, and why a maximum dose could not be compared."""

from collections.abc import Callable, Iterable
from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, Condition, Truth, flag, needs
from cards.rules.conditions.words.numbers import WEIGHT
from cards.rules.conditions.words.patient import CONDITIONS
from cards.rules.families.dose import lifetime
from cards.rules.families.dose.excess import (
    FAR_OVER,
    FAR_OVER_PER_KG,
    FAR_OVER_TARGET,
    ROUNDING,
    ROUNDING_FIRST,
    TEN_FOLD,
    TEN_FOLD_NARROW,
    Excess,
)
from cards.rules.families.dose.knowledge import ADULT_YEARS, WORDS, Words, says
from cards.rules.families.dose.sums import TIMES_RECOMMENDED, TIMES_RECOMMENDED_FOR_CHILD, body_surface_m2, dose_of
from cards.rules.families.dose.texts import amount, weight_gap
from cards.rules.patient.context import RuleContext, dose_fact
from cards.rules.patient.orders import CurrentMedication
from fhir.mapping.medications.daily_dose import instructions_of
from fhir.mapping.weights import judged_weight


def _of_excess(test: Callable[[Excess], bool]) -> Callable[[RuleContext], Truth]:
    """Return what asks the worst excess over a maximum dose; None where there is none."""

    def ask(context: RuleContext) -> Truth:
        excess = dose_of(context).excess
        return test(excess) if excess is not None else None

    return ask


def _over_maximum(context: RuleContext) -> Truth:
    dose = dose_of(context)
    return True if dose.excess is not None else None if dose.is_unknown else False


def _is_far_over_recommended(least_times: float) -> Callable[[RuleContext], Truth]:
    def ask(context: RuleContext) -> Truth:
        dose, is_unknown = dose_of(context).implausible
        return dose.times >= least_times if dose is not None else None if is_unknown else False

    return ask


def _dose_facts(context: RuleContext) -> list[Fact]:
    excess = dose_of(context).excess
    if excess is None:
        return []
    drafted_fact = Fact("daily_dose", amount(context) or "", excess.amount, source=context.drafted.draft.name)
    beside = _facts_beside(excess.beside, excess.limit.rxcui, context)
    weight = context.number_facts("weight_kg") if excess.limit.per_kg or excess.limit.per_area else []
    condition = context.condition_facts(excess.limit.condition) if excess.limit.condition else []
    return [drafted_fact, *weight, *beside, *condition]


def _facts_beside(beside: Iterable[CurrentMedication], rxcui: str, context: RuleContext) -> list[Fact]:
    """Return the fact of each order with its daily dose: the same beside every draft of the ingredient."""
    facts: dict[int, Fact] = context.session.derive((_facts_beside, rxcui), dict)
    return [
        facts.get(id(order)) or facts.setdefault(id(order), dose_fact(order, order.dose.most_a_day(rxcui)))
        for order in beside
    ]


# What the words of the drug say


def _words(context: RuleContext) -> str:
    return f"{context.medication.dose_form} {context.medication.words}"


def _said(row: Words) -> Callable[[RuleContext], bool]:
    is_of_drug = row.condition == "drug"
    return lambda context: says(row.name, _words(context) + ("" if is_of_drug else f" {_sigs(context)}"))


def _is_depot(context: RuleContext) -> Truth:
    # What is injected as a suspension stays where it is put: it is not for a vein either.
    is_slow = context.medication.is_slow_release or "suspension" in _words(context).casefold()
    return says("depot", _words(context)) or (context.medication.is_injected and is_slow)


def _is_undiluted_salt(context: RuleContext) -> Truth:
    return says("concentrate", _words(context)) and not says("diluted", f"{_words(context)} {_sigs(context)}")


def _runs_on(context: RuleContext) -> Truth:
    """Whether it runs by the hour without an end; the volume of a bag ends no infusion that is called continuous."""
    sigs = _sigs(context)
    if context.drafted.dose.single or context.drafted.dose.times_per_day or says("timed", sigs):
        return False
    is_open = any(step.way == "drip" and step.dose is None for step in dose_of(context).steps)
    return is_open or says("continuous", sigs)


_QUICKLY_HOURS: Final = 2.0
_MOST_ML_PER_KG: Final = 6.0
"""Three boluses of 2 mL/kg of sodium chloride 3 % (Crit Care 2013;17:206)."""
_KG_WITHOUT_WEIGHT: Final = 80.0


def _is_large_salt_bolus(context: RuleContext) -> Truth:
    """Whether more than three boluses of hypertonic salt are given at once; without a weight, for 80 kg."""
    steps = dose_of(context).steps
    hours = max((step.hours for step in steps if step.hours), default=None)
    is_once = context.drafted.dose.single or says("bolus", _sigs(context))
    if not (hours <= _QUICKLY_HOURS if hours is not None else is_once):
        return False
    doses = (step.dose for step in steps if step.dose is not None and step.dose.unit.kind == "mL")
    volumes = [dose.high * dose.unit.factor for dose in doses]
    most = _MOST_ML_PER_KG * (context.weight_kg or _KG_WITHOUT_WEIGHT)
    return _is_alone(context) and says("three percent", _words(context)) and max(volumes, default=0.0) > most


_LARGE_ML: Final = 100.0
"""Containers of sterile water from which on it is high-alert (ISMP 2018)."""


def _is_poured(context: RuleContext) -> Truth:
    """Whether nothing but this fluid runs in, by the hour or in a large volume; a diluent is less."""
    steps = dose_of(context).steps
    volumes = (step.dose.high * step.dose.unit.factor for step in steps if step.dose and step.dose.unit.kind == "mL")
    return _is_alone(context) and (any(step.rates for step in steps) or max(volumes, default=0.0) >= _LARGE_ML)


def _is_alone(context: RuleContext) -> bool:
    return len(context.medication.rxcuis) == 1


def _sigs(context: RuleContext) -> str:
    dosages = instructions_of(context.drafted.order)
    routes = (dosage.route.words for dosage in dosages if dosage.route is not None)
    return " ".join([context.drafted.text, context.medication.route, *routes])[:2000]


# Weight


def _weight_wanted(context: RuleContext) -> Truth:
    is_known = context.age_years is not None and context.session.record.was_requested("body_weight")
    return dose_of(context).wants_weight if is_known else None


def why_unknown(context: RuleContext) -> tuple[str, str] | None:
    """Why a maximum dose could not be compared."""
    dose = dose_of(context)
    if not dose.is_unknown:
        return None
    if not (limits := [*filter(None, dose.limits.values())]) or dose.is_only_swallowed:
        return "other-form", "the limits that are known here are for another form or route."
    if any(dose.age_for(rows) is None for rows in limits):
        return "age-missing", "the age is not known."
    rows = [row for about in dose.rows.values() for row, of_adult in about if not of_adult]
    activity = context.drafted.dose.activity
    if any((dose.total_mg(row.rxcui)[0] if row.unit == "mg" else activity) is None for row in rows):
        return context.why_no_dose()
    if any(row.per_area for row in rows) and body_surface_m2(context) is None:
        return "weight-missing", "the body surface is not known: no weight or no height on record."
    if context.weight_kg is None and any(row.per_kg for row in rows):
        if not context.session.record.was_requested("body_weight"):
            return "weight-missing", "the weight did not come with the call."
        return "weight-missing", f"{weight_gap(context)}."
    if any(row.unit == "mg" and not dose.total_mg(row.rxcui)[1] for row in rows):
        return "dose-not-known", "the dose of another order of the drug is not known."
    return "conditions-missing", "the problem list is not known."


def limit_missing(rule: str, context: RuleContext) -> tuple[str, str] | None:
    """Return what says that no limit for a child's age and weight was compared, where the rule found nothing."""
    if rule not in ("dose-max", "dose-plausible") or context.age_years is None or context.age_years >= ADULT_YEARS:
        return None
    drugs = dose_of(context).not_compared
    if rule == "dose-max":
        text = (
            f"no limit for this age and weight was compared with the dose of {' and '.join(drugs)}: it is not judged."
        )
        return ("limit-missing", text) if drugs else None
    text = "only FDA's maximum of adults was looked at, not one for this age."
    return "limit-missing" if drugs else "within-limits", text


_SUM = frozenset({"dose", "maximum", "active"})
_ALONE = frozenset({"dose"})
CONDITIONS_OF_DOSES: tuple[Condition, ...] = (
    flag(
        "over_maximum",
        _over_maximum,
        "one dose, or the sum a day of the draft and what is taken beside it, is over a row of limits.csv",
        _SUM,
        _dose_facts,
        MEDICATION_LISTS | WEIGHT | CONDITIONS | needs("Encounter", analytes=("body_height",)),
    ),
    flag(
        "maximum_is_firm",
        _of_excess(lambda excess: excess.is_firm),
        "the source of that row gives a maximum and no target",
        _SUM,
    ),
    flag(
        "far_over_maximum",
        _of_excess(lambda excess: excess.is_far_over),
        f"it is {FAR_OVER:g} times the limit and more, {FAR_OVER_TARGET:g} times a target or a usual first dose,"
        f" {FAR_OVER_PER_KG:g} times a limit for each kilogram",
        _SUM,
    ),
    flag(
        "slightly_over_maximum",
        lambda context: dose_of(context).is_slight,
        f"the limit is not a firm maximum and the dose is over it by less than {ROUNDING:g} times,"
        f" {ROUNDING_FIRST:g} times a usual first dose; or no label was read for it and the dose is not far over it",
        _SUM,
    ),
    flag(
        "ten_fold_maximum",
        _of_excess(lambda excess: excess.is_ten_fold),
        f"it is {TEN_FOLD:g} times the limit and more, {TEN_FOLD_NARROW:g} times of a drug with a narrow range",
        _SUM,
    ),
    flag(
        "ten_fold_recommended",
        _is_far_over_recommended(TEN_FOLD),
        f"the draft gives {TEN_FOLD:g} times FDA's recommended maximum a day and more",
        _ALONE,
    ),
    flag(
        "under_tenth",
        lambda context: dose_of(context).under_tenth is not None,
        "a child's dose is under a tenth of every limit for each kilogram of the drug",
        frozenset({"age", "maximum"}),
        needs=WEIGHT,
    ),
    flag(
        "weight_wanted",
        _weight_wanted,
        "the drug has a limit for each kilogram, and the child no weight of the last 90 days that can be right",
        frozenset({"age", "maximum"}),
        needs=WEIGHT,
    ),
    flag(
        "weight_implausible",
        lambda context: judged_weight(context.session.record).implausible is not None,
        "the newest weight cannot be right at this age or beside those before it",
        needs=WEIGHT,
    ),
    flag(
        "over_lifetime_dose",
        lifetime.is_over,
        "what was given of the drug and the first dose of the draft are over the dose of a lifetime (lifetime.csv)",
        frozenset({"dose", "lifetime"}),
        needs=WEIGHT | needs("MedicationAdministration", analytes=("body_height",)),
    ),
    flag(
        "under_labelled_age",
        lambda context: None if context.age_years is None else dose_of(context).labelled_from is not None,
        "the patient is younger than a row of limits.csv says the drug is labeled from",
        frozenset({"age"}),
        lambda context: context.number_facts("age_years"),
    ),
    flag(
        "far_over",
        _is_far_over_recommended(0.0),
        f"the draft gives more than {TIMES_RECOMMENDED:g} times FDA's recommended maximum a day (plausibility.csv), for"
        f" a child more than {TIMES_RECOMMENDED_FOR_CHILD:g} times that of its weight",
        _ALONE,
        lambda context: context.number_facts("daily_dose_mg"),
    ),
    flag(
        "one_instruction",
        lambda context: len(context.drafted.order.dosageInstruction) <= 1,
        "the order has one dosage instruction",
    ),
    flag("undiluted_salt", _is_undiluted_salt, "it is a concentrate, and no words of the order dilute it"),
    flag(
        "hypertonic_salt",
        lambda context: _is_alone(context) and says("hypertonic", _words(context)),
        "it is a salt solution of 2 to 7.5 %",
    ),
    flag("runs_on", _runs_on, "it runs by the hour, and the order names neither a time nor a volume at which it ends"),
    flag("poured", _is_poured, f"nothing but this fluid is given, by the hour or at least {_LARGE_ML:g} mL of it"),
    flag(
        "large_salt_bolus",
        _is_large_salt_bolus,
        f"more than {_MOST_ML_PER_KG:g} mL/kg of a salt solution of 3 % or more is given at once or within "
        f"{_QUICKLY_HOURS:g} hours",
        needs=WEIGHT,
    ),
    flag(
        "water",
        lambda context: _is_alone(context) and says("water", _words(context)) and not says("sodium", _words(context)),
        "it is glucose of 5 % without salt, which is as good as water",
    ),
    *(flag(row.name, _said(row), row.meaning) for row in WORDS.values() if row.condition),
    flag("depot", _is_depot, "the words or the form of the drug say that it is a depot injection"),
    flag("day_named", lambda context: bool(context.drafted.dose.on_days), "the order names a day of the week"),
)
