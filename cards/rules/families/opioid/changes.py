"""Corrections of an opioid draft: the greatest dose under 50 MME a day, half of the dose."""

from msgspec.structs import replace

from cards.rules.families.opioid.view import UNDER_MME, opioid_view
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from fhir.mapping.medications.opioids import is_patch


def under_50_mme(context: RuleContext) -> OrderChange | None:
    """The greatest part of the draft, in its own units, with which the total stays under 50 MME."""
    dose, view = context.drafted.dose, opioid_view(context.session, context.drafted)
    own = [part.dose for part in view.parts if part.is_draft and part.source == context.drafted.draft.name]
    total, whole = view.total
    times, count = dose.times_per_day, _count(context)
    if len(own) != 1 or not whole or not own[0].high or not times or count is None or is_patch(context.medication):
        return None
    of_one = own[0].high / (times * count)
    best = _best(count, int(times), UNDER_MME - (total - own[0].high), of_one)
    return OrderChange(sig=_counted(context, *best, count)) if best is not None else None


def _best(count: float, times: int, room: float, of_one: float) -> tuple[int, int] | None:
    """Units and times a day, neither more than ordered, that come nearest to the room and stay under it."""
    found = [
        (units * often, often, units)
        for units in range(1, int(count) + 1)
        for often in range(1, times + 1)
        if units * often * of_one < room - 1e-9
    ]
    if not found:
        return None
    _, often, units = max(found)
    return units, often


def _count(context: RuleContext) -> float | None:
    """Whole units of the product in one dose, the most of a range; None where it is not counted in units."""
    code = context.ingredient.rxcui
    each = context.drafted.dose.each(code)
    for ingredient, strength in zip(context.medication.ingredients, context.medication.strengths, strict=True):
        if (
            ingredient.rxcui == code
            and strength is not None
            and strength.per == "unit"
            and strength.milligrams
            and each
        ):
            count = each.high / strength.milligrams
            return round(count) if abs(count - round(count)) < 1e-6 and count >= 1 else None
    return None


_TIMES = {1: "once daily", 2: "twice daily", 3: "3 times a day", 4: "4 times a day"}
_FORMS = ("tablet", "capsule")


def _counted(context: RuleContext, units: int, often: int, count: float) -> Sig:
    needed = " as needed" if context.drafted.dose.as_needed else ""
    said = f"{context.medication.dose_form or ''} {context.medication.words}".lower()
    form = next((one for one in _FORMS if one in said), "unit")
    text = f"{units} {form}{'s' if units > 1 else ''} {_TIMES.get(often, f'{often} times a day')}{needed}"
    strength = context.medication.strengths
    of_one = strength[0].milligrams if len(strength) == 1 and strength[0] is not None else None
    if of_one is not None:
        return Sig(text, units * of_one, times_per_day=often, as_needed=bool(needed))
    return Sig(text, dose_share=units / count, times_per_day=often, as_needed=bool(needed))


def half_dose(context: RuleContext) -> OrderChange | None:
    """Half of the drafted dose: half of the units where these are even, else half as often."""
    count, times = _count(context), context.times_per_day
    if count is None or times is None or context.drafted.dose.as_needed:
        return None
    if count % 2 == 0:
        units, often = int(count // 2), int(times)
    elif times >= 2 and times % 2 == 0:
        units, often = int(count), int(times // 2)
    else:
        return None
    sig = _counted(context, units, often, count)
    text = f"{sig.text}: lower start, half of the usual dose beside an opioid"
    return OrderChange(sig=replace(sig, text=text, is_written=True))
