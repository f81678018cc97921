"""Doses: what the family declares, and the corrections that only its rules offer."""

import math

from cards.rules.engine.family import Correction, Family, Placeholder
from cards.rules.families.dose import lifetime, texts
from cards.rules.families.dose.conditions import CONDITIONS_OF_DOSES, limit_missing, why_unknown
from cards.rules.families.dose.excess import FAR_OVER, TEN_FOLD
from cards.rules.families.dose.knowledge import ALARM, evidence_of
from cards.rules.families.dose.rows import ages_of_limits, limits_of
from cards.rules.families.dose.sums import dose_of, plausible_doses_of
from cards.rules.families.dose.texts import worst_excess
from cards.rules.language.rule import Evidence, OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.text import format_dose

_METHOTREXATE = "6851"


def _row_evidence(context: RuleContext) -> tuple[Evidence, ...]:
    excess = worst_excess(context)
    dose = dose_of(context)
    by_weight = [row for about in dose.rows.values() for row, _ in about if row.per_kg]
    by_weight.sort(key=lambda row: row.is_lead)
    row = excess.limit if excess is not None else dose.labelled_from or next(iter(by_weight), None)
    if row is None:
        return ()
    return (ALARM if row.is_lead else evidence_of(row),)


# Corrections

_OFTEN = {1: "once", 2: "twice", 3: "three times", 4: "four times"}


def _each_mg(context: RuleContext) -> float | None:
    """Milligrams of one dose where it is exactly known, of one drug alone, neither as needed nor given once."""
    dose, rxcuis = context.drafted.dose, context.medication.rxcuis
    is_regular = len(rxcuis) == 1 and not (dose.as_needed or dose.single)
    single_dose = dose.per_dose_of(rxcuis[0]) if is_regular else None
    return single_dose.high if single_dose is not None and single_dose.low == single_dose.high else None


def _unit_mg(context: RuleContext) -> float | None:
    """Return the strength of one tablet or capsule; None where the product does not say."""
    strength = context.medication.strengths[0]
    return strength.milligrams if strength is not None and strength.per == "unit" else None


def to_maximum(context: RuleContext) -> OrderChange | None:
    """As often as ordered, with the largest dose of whole units that keeps the sum within the maximum.

    Never for a first order: the maximum is not a starting dose.
    """
    excess, single_mg, times = worst_excess(context), _each_mg(context), context.times_per_day
    if excess is None or excess.of_adult or excess.limit.is_lead or single_mg is None or times not in _OFTEN:
        return None
    limit = excess.limit
    has_no_room = limit.unit != "mg" or limit.per_kg or limit.per_dose or limit.per_week or excess.times >= FAR_OVER
    if has_no_room or context.new_start is not False:
        return None
    daily_mg = single_mg * times
    room_mg = (excess.limit.most - (excess.amount - daily_mg)) / times
    unit = _unit_mg(context)
    dose = math.floor(room_mg / unit + 1e-9) * unit if unit else room_mg
    # Of a drug without a strength no dose is offered that is only what another order leaves.
    if not 0.0 < dose < single_mg or (not unit and (excess.beside or dose != int(dose))):
        return None
    sig = _sig(dose, int(times))
    return OrderChange(sig=sig, label=f"Reduce to the maximum: {sig.text}")


def _sig(dose: float, times: int) -> Sig:
    return Sig(f"{format_dose(dose)} mg {_OFTEN[times]} daily", dose, times_per_day=times)


_FAR_ENOUGH = 6.0
"""A tenth of less than so many times the limit would leave the patient with far too little."""


def tenth(context: RuleContext) -> OrderChange | None:
    """Offer a tenth of a dose far over its limit, as often as ordered: within the limit, and not far under it.

    One zero too many or a decimal point too far right makes ten times the dose that was meant.
    """
    excess, single_mg, times = worst_excess(context), _each_mg(context), context.times_per_day
    if excess is None or single_mg is None or times not in _OFTEN or excess.beside:
        return None
    is_guess = excess.of_adult or excess.limit.population == "first order"
    if is_guess or excess.limit.unit != "mg" or not _FAR_ENOUGH <= excess.times <= TEN_FOLD:
        return None
    dose, unit = single_mg / 10.0, _unit_mg(context)
    is_whole = unit is None or math.isclose(dose / unit, round(dose / unit))
    sig = _sig(dose, int(times))
    return OrderChange(sig=sig, label=f"Change to one tenth: {sig.text}") if is_whole else None


_MOST_IN_MICROGRAMS_MG = 20.0
"""Nobody writes a dose of a drug in micrograms of which more than this is usual in a day."""


def micrograms(context: RuleContext) -> OrderChange | None:
    """Return the same number in micrograms if that is from a twentieth of FDA's recommended maximum to all of it."""
    excess, _ = dose_of(context).implausible
    single_mg, times = _each_mg(context), context.times_per_day
    if excess is None or single_mg is None or times not in _OFTEN or excess.recommended_mg_day > _MOST_IN_MICROGRAMS_MG:
        return None
    milligrams = excess.amount / 1000.0
    if not excess.recommended_mg_day / 20.0 <= milligrams <= excess.recommended_mg_day:
        return None
    text = f"{format_dose(single_mg)} micrograms {_OFTEN[int(times)]} daily"
    return OrderChange(sig=Sig(text, single_mg / 1000.0, times_per_day=int(times)), label=f"Change to {text}")


def _times_daily(times: int, words: str = "") -> Correction:
    """Return the ordered dose so many times a day."""

    def change(context: RuleContext) -> OrderChange | None:
        single_mg = _each_mg(context)
        if single_mg is None:
            return None
        text = f"{format_dose(single_mg)} mg {_OFTEN[times]} daily{words}"
        return OrderChange(sig=Sig(text, single_mg, times_per_day=times), label=f"Change to {text}")

    return change


_MOST_METHOTREXATE_MG = 25.0


def _once_weekly(context: RuleContext) -> OrderChange | None:
    """Return the ordered dose once a week on Monday; a dose of methotrexate over 25 mg is not a weekly one."""
    single_mg = _each_mg(context)
    if single_mg is None or (context.medication.has(_METHOTREXATE) and single_mg > _MOST_METHOTREXATE_MG):
        return None
    text = f"{format_dose(single_mg)} mg once weekly on Monday"
    return OrderChange(sig=Sig(text, single_mg, times_per_week=1, weekday="mon", is_written=True))


FAMILY = Family(
    "dose",
    placeholders=texts.PLACEHOLDERS
    | {
        "micrograms_meant": Placeholder(
            lambda context: " Check for micrograms." if micrograms(context) is not None else "",
            " Check for micrograms.",
        )
    },
    conditions=CONDITIONS_OF_DOSES,
    gaps={"maximum": why_unknown, "lifetime": lifetime.why_unknown},
    changes={
        "to_maximum": to_maximum,
        "micrograms": micrograms,
        "tenth": tenth,
        "once_daily": _times_daily(1),
        "once_daily_with_food": _times_daily(1, " with food"),
        "twice_daily": _times_daily(2),
        "once_weekly": _once_weekly,
    },
    ages={"dose-max": ages_of_limits},
    covers={"dose-max": limits_of, "dose-plausible": plausible_doses_of},
    evidence={"dose-max": _row_evidence},
    rows={"dose-max": texts.rows_of},
    not_compared=limit_missing,
)
