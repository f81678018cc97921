"""The daily sum of a drug over the draft and what is taken beside it, and acetaminophen brought back to 3 g."""

from cards.markdown import plain
from cards.rules.condition import Condition, Spec, floor_comparison, only
from cards.rules.fact import Fact
from cards.rules.figures import show, show_dose
from cards.rules.predicate import Predicate, Truth
from cards.rules.rule import Change, Sig
from cards.rules.same_product import is_same_product
from cards.rules.situation import Situation
from cards.rules.taken import Taken
from cards.rules.wording import compared
from fhir.mapping.dose import DailyDose

ACETAMINOPHEN = "161"
MOST_MG = 4000.0
_GOAL_MG, _LARGEST_DOSE_MG = 3000.0, 1000.0


def counted(situation: Situation, rxcui: str) -> list[Taken]:
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
    doses = [_high(one.dose, rxcui) for one in counted(situation, rxcui) if not one.dose.single]
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
        return [*own, *(_dose_fact(one, rxcui) for one in counted(situation, rxcui))]

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def _dose_fact(one: Taken, rxcui: str) -> Fact:
    high = _high(one.dose, rxcui)
    said = f", {show(high)} mg/day" if high is not None else ""
    return Fact("medication", f"{plain(one.medication.words)}{said}", one.medication.name, None, one.since, one.source)


def to_three_grams(situation: Situation) -> Change | None:
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


DAILY_TOTAL = Condition(
    _daily_total_mg,
    {
        "type": "object",
        "required": ["ingredient", "gt"],
        "properties": {"ingredient": {"$ref": "#/$defs/drug"}, "gt": {"type": "number"}},
        "additionalProperties": False,
    },
    lambda spec: compared(f"mg a day of {spec['daily_total_mg']['ingredient']['name']} in all", spec["daily_total_mg"]),
)
