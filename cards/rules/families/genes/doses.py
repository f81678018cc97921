"""Whether the drafted dose is one that a recommendation is about, and the dose that it asks for instead."""

import re
from typing import Final

from cards.rules.families.genes.knowledge import FDA_LINES, AdviceIndicator, Recommendation
from cards.rules.language.rule import DosePart, OrderChange
from cards.rules.patient.context import RuleContext
from fhir.mapping.conditions import find_condition

_LIMIT = re.compile(r"(?P<sign>>=|≥|<=|≤|<|>)?\s*(?P<number>\d+(?:\.\d+)?)(?P<note> note)?")
_AZATHIOPRINE: Final = "1256"
_FULL_AZATHIOPRINE_MG_KG: Final = 2.0
"""CPIC 2018 (thiopurines): the reduced start is meant "if normal starting dose is 2-3 mg/kg/day"."""
_DEPRESSION_DOSES: Final = "depression doses"
_LOW_TRICYCLIC_MG: Final = 25.0
"""CPIC 2016 gives its advice on tricyclics for depression; at low doses, as for pain, it is shown as information only.
That low means up to 25 mg a day is the project's own choice, for review."""
_LOWER: Final = ("reduce", "alternative_or_reduce", "avoid_unless", "limit")


def judge_dose(context: RuleContext, row: Recommendation) -> AdviceIndicator:
    """The severity at the drafted dose: none within the limit, the row's own where there is no limit."""
    daily = context.daily_dose_mg
    if row.indicator == "silent" or daily is None:
        return row.indicator
    within = _is_within(row.action.limit, daily)
    if within is not None:
        return "silent" if within else row.indicator
    if _DEPRESSION_DOSES in row.action.instruction and daily <= _LOW_TRICYCLIC_MG:
        return "info" if find_condition(context.session.record, "depression") is None else row.indicator
    if context.ingredient.rxcui == _AZATHIOPRINE and row.action.name == "reduce":
        weight = context.weight_kg
        return "silent" if weight is not None and daily / weight < _FULL_AZATHIOPRINE_MG_KG else row.indicator
    if row.action.name == "alternative_or_reduce" and _keeps_fda_limit(context, row, daily):
        return "silent"
    return row.indicator


def _is_within(limit: str, daily: float) -> bool | None:
    """Whether the daily dose needs nothing by this limit; None where the limit is no number of milligrams."""
    match = _LIMIT.fullmatch(limit.strip()) if limit else None
    if match is None:
        return None
    number, sign = float(match["number"]), match["sign"]
    if match["note"]:
        return daily < number if sign in (">=", "≥") else daily <= number
    return daily < number if sign == "<" else daily <= number


def _keeps_fda_limit(context: RuleContext, row: Recommendation, daily: float) -> bool:
    return any(
        line.milligrams_a_day is not None and line.keys & set(row.keys) and daily <= line.milligrams_a_day
        for line in FDA_LINES.get(context.ingredient.rxcui, ())
    )


def lower_dose(context: RuleContext, row: Recommendation) -> OrderChange | None:
    """The change of the draft to the part of its dose that remains, in whole units of the product; None without one.

    Of a range of percent its middle is offered; of a daily limit the limit.
    """
    strengths = context.medication.strengths
    strength = strengths[0].milligrams if len(strengths) == 1 and strengths[0] is not None else None
    daily = context.daily_dose_mg
    if row.action.name not in _LOWER or strength is None or daily is None:
        return None
    share = _share(row, daily)
    return OrderChange(part=DosePart(share[1], share[0], strength)) if share is not None else None


def _share(row: Recommendation, daily: float) -> tuple[float, float] | None:
    """The least and the most of the drafted dose that may remain."""
    match = _LIMIT.fullmatch(row.action.limit.strip()) if row.action.limit else None
    if match is not None and not match["note"] and match["sign"] != "<":
        most = float(match["number"]) / daily
        return (most / 2, most) if most < 1 else None
    if row.action.percent is not None and row.action.percent[1] < 100:
        low, high = (part / 100 for part in row.action.percent)
        return (low if low < high else low * 2 / 3, (low + high) / 2)
    return None
