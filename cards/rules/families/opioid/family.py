"""Opioids: the placeholders, conditions and corrections that only these rules use.

A correction is the greatest dose under 50 MME a day, or half of the dose.
"""

import re
from collections.abc import Iterator

from msgspec.structs import replace

from cards.extension import Fact
from cards.rules.conditions.condition import (
    DAYS,
    MEDICATION_LISTS,
    TEXTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    flag,
    members,
    needs,
    number,
    with_value,
)
from cards.rules.engine.family import Family, Placeholder
from cards.rules.families.opioid.setting import SETTING_CONDITIONS
from cards.rules.families.opioid.view import UNDER_MME, OpioidView, has_rescue_naloxone, is_long_acting, opioid_view
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.text import first_few, format_number, plain
from fhir.mapping.medications.opioids import is_patch
from fhir.record.resources import Procedure


def under_50_mme(context: RuleContext) -> OrderChange | None:
    """Return the greatest part of the draft, in its own units, with which the total stays under 50 MME."""
    dose, view = context.drafted.dose, opioid_view(context.session, context.drafted)
    own_doses = [part.dose for part in view.parts if part.is_draft and part.source == context.drafted.draft.name]
    total, is_whole_total = view.total
    times, count = dose.times_per_day, _count(context)
    if (
        len(own_doses) != 1
        or not is_whole_total
        or not own_doses[0].high
        or not times
        or count is None
        or is_patch(context.medication)
    ):
        return None
    of_one = own_doses[0].high / (times * count)
    best = _best(count, int(times), UNDER_MME - (total - own_doses[0].high), of_one)
    return OrderChange(sig=_counted(context, *best, count)) if best is not None else None


def _best(count: float, times: int, room: float, of_one: float) -> tuple[int, int] | None:
    """Units and times a day, neither more than ordered, that come nearest to the room and stay under it."""
    choices = [
        (units * often, often, units)
        for units in range(1, int(count) + 1)
        for often in range(1, times + 1)
        if units * often * of_one < room - 1e-9
    ]
    if not choices:
        return None
    _, often, units = max(choices)
    return units, often


def _count(context: RuleContext) -> float | None:
    """Whole units of the product in one dose, the most of a range; None where it is not counted in units."""
    code = context.ingredient.rxcui
    single_dose = context.drafted.dose.per_dose_of(code)
    strength = dict(zip(context.medication.rxcuis, context.medication.strengths, strict=True)).get(code)
    if strength is None or strength.per != "unit" or not strength.milligrams or single_dose is None:
        return None
    count = single_dose.high / strength.milligrams
    return round(count) if abs(count - round(count)) < 1e-6 and count >= 1 else None


_TIMES = {1: "once daily", 2: "twice daily", 3: "3 times a day", 4: "4 times a day"}
_FORMS = ("tablet", "capsule")


def _counted(context: RuleContext, units: int, often: int, count: float) -> Sig:
    needed = " as needed" if context.drafted.dose.as_needed else ""
    words = f"{context.medication.dose_form} {context.medication.words}".lower()
    form = next((form for form in _FORMS if form in words), "unit")
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


_LIMITS = (50.0, 90.0)
_MME = frozenset({"active", "mme"})
OPIOIDS = MEDICATION_LISTS | needs("MedicationDispense")
"""What a condition needs that looks at all opioids of the patient."""


def _view(context: RuleContext) -> OpioidView:
    return opioid_view(context.session, context.drafted)


# Milligrams of oral morphine


def _mme_facts(context: RuleContext) -> Iterator[Fact]:
    for part in _view(context).parts:
        if part.dose.high is not None:
            text = f"{part.dose.ingredient.name} {format_number(part.dose.high, _LIMITS)} MME/day"
            since = part.since.text if part.since is not None else None
            yield Fact("mme", text, part.dose.high, "MME/d", since, part.source)


def _mme(context: RuleContext) -> str:
    known_mme, is_whole = _view(context).total
    return f"{'' if is_whole else 'at least '}{format_number(known_mme, _LIMITS)}"


def _parts(context: RuleContext) -> str:
    view, drafted_name = _view(context), context.drafted.draft.name
    texts = []
    for part in view.parts:
        if part.dose.high is not None:
            is_alone = len(view.parts) == 1
            where = (
                ("" if is_alone else " in this order")
                if part.source == drafted_name
                else " also drafted"
                if part.is_draft
                else ""
            )
            texts.append(f"{part.dose.ingredient.name} {format_number(part.dose.high, _LIMITS)}{where}")
    unknown = f"; not counted: {'; '.join(view.problems)}" if view.problems else ""
    return f"{', '.join(texts)}{unknown}"


def _mme_problem(context: RuleContext) -> str | None:
    """Return the first reason, which a summary has room for."""
    problems = _view(context).problems
    return first_few([plain(problems[0], 80), *problems[1:]], 1) if problems else None


def _mme_problems(context: RuleContext) -> str:
    """Return all reasons, where a summary has room for the first alone."""
    problems = _view(context).problems
    return f"Not counted: {plain('; '.join(problems), 240)}." if len(problems) > 1 else ""


def _mme_known(context: RuleContext) -> str:
    known_mme, _ = _view(context).total
    return f"The rest comes to {format_number(known_mme, _LIMITS)} MME/day." if known_mme else ""


def _not_counted(rule: str, context: RuleContext) -> tuple[str, str] | None:
    if rule != "opioid-mme" or _view(context).is_counted:
        return None
    return "opioid-dose-unknown", "injected opioids are counted only where the dose of a day runs all day long."


def _mme_gap(context: RuleContext) -> tuple[str, str] | None:
    view = _view(context)
    if view.total[1]:
        return None
    if context.drafted.order.dosageInstruction or context.drafted.dose.per_day:
        return "opioid-dose-unknown", f"the daily opioid dose cannot be computed ({'; '.join(view.problems)})."
    return "dose-not-entered", f"the dose is {context.not_entered}."


# Tolerance and release


def _procedure_recent(spec: Spec) -> Predicate:
    inner = spec["procedure_recent"]
    words = re.compile("|".join(map(re.escape, inner["text_any"])), re.IGNORECASE)
    days = float(inner["within_days"])

    def test(context: RuleContext) -> Truth:
        if list(recent_procedures(context)):
            return True
        return False if context.session.record.was_requested("Procedure") else None

    def recent_procedures(context: RuleContext) -> Iterator[Fact]:
        record = context.session.record
        for procedure in record.facts(Procedure):
            time = procedure.finished
            procedure_words = procedure.code.words if procedure.code is not None else ""
            in_time = time is not None and time.whole_days(record.as_of_epoch) <= days
            if time is not None and in_time and procedure.status == "completed" and words.search(procedure_words):
                yield Fact("procedure", plain(procedure_words), effective=time.text, source=procedure.source)

    return Predicate(test, lambda context: list(recent_procedures(context)), frozenset({"procedures"}))


# Words


def _list_gap(context: RuleContext) -> str:
    if context.session.record.was_requested("MedicationRequest"):
        return "Opioids from elsewhere are not seen here."
    return "The list of medications did not come with this call."


_RISKS = {
    "opioid_use_disorder": "opioid use disorder",
    "substance_use_disorder": "substance use disorder",
    "overdose": "an earlier overdose",
    "sleep_apnea": "sleep apnea",
}


def _risk_list(context: RuleContext) -> list[str]:
    risks = [f"{_mme(context)} MME/day"] if _view(context).total[0] >= UNDER_MME else []
    if context.session.medications_beside(context.drafted, ("benzodiazepine",)):
        risks.append("a benzodiazepine")
    for key, words in _RISKS.items():
        hit = context.session.condition(key)
        if hit is not None:
            risks.append(f"{words}{f' ({hit.time.date})' if hit.time is not None else ''}")
    age = context.age_years
    if age is not None and age >= 65 and context.session.medications_beside(context.drafted, ("gabapentinoid",)):
        risks.append("a gabapentinoid at 65 or over")
    return risks


def _risks(context: RuleContext) -> str:
    """All of them, where there are more than the summary names."""
    risks = _risk_list(context)
    return f"Risk factors found: {', '.join(risks)}. " if len(risks) > 1 else ""


_NOT_TOLERANT = ", no opioid tolerance on record: risk of overdose. Consider a lower dose."


def _tolerance(context: RuleContext) -> str:
    """What follows on the total: a first order is begun lower, one of a patient who is used to it is reassessed."""
    is_first = _view(context).is_tolerant is False
    if is_first and is_long_acting(context.medication):  # a lower dose of it is no first opioid either
        return ", no opioid tolerance on record: risk of overdose. Do not start with it."
    return _NOT_TOLERANT if is_first else ": risk of overdose. Reassess whether it still helps."


def _reduction(context: RuleContext) -> str:
    if _view(context).is_tolerant is False:
        return "Ask whether an opioid is taken already."
    return "Do not reduce a long-standing dose abruptly."


FAMILY = Family(
    "opioid",
    placeholders={
        "mme": Placeholder(_mme, "at least 1,234.5"),
        "tolerance": Placeholder(_tolerance, _NOT_TOLERANT),
        "reduction": Placeholder(_reduction),
        "parts": Placeholder(_parts),
        "mme_problem": Placeholder(_mme_problem, f"{'x' * 80} (and 3 more)"),
        "mme_problems": Placeholder(_mme_problems),
        "mme_known": Placeholder(_mme_known),
        "list_gap": Placeholder(_list_gap),
        "risk": Placeholder(
            lambda context: next(iter(_risk_list(context)), None), "substance use disorder (2026-11-20)"
        ),
        "risks": Placeholder(_risks),
    },
    conditions=(
        number(
            "mme_per_day",
            "MME a day",
            lambda context: _view(context).total,
            "milligrams of oral morphine a day, of the draft and beside it, compare so; over a lower limit as soon as "
            "the known part is",
            _MME,
            lambda context: list(_mme_facts(context)),
            OPIOIDS,
        ),
        flag(
            "mme_unknown",
            lambda context: not _view(context).total[1],
            "a part of the MME is not known",
            _MME,
            needs=OPIOIDS,
        ),
        flag(
            "mme_not_raised",
            lambda context: _view(context).is_not_raised,
            "the MME of the last 30 days is not exceeded",
            _MME,
            needs=OPIOIDS,
        ),
        flag(
            "opioid_tolerant",
            lambda context: _view(context).is_tolerant,
            "opioid-tolerant on record",
            frozenset({"active", "history", "tolerance"}),
            needs=OPIOIDS,
        ),
        with_value(
            "rescue_naloxone",
            members(("within_days",), within_days=DAYS),
            lambda wanted, context: has_rescue_naloxone(context.session, wanted["within_days"]),
            "rescue naloxone in the last {0[within_days]} days".format,
            "naloxone or nalmefene by itself was ordered, given out or stated in the last `within_days`",
            frozenset({"active", "history"}),
            needs=OPIOIDS,
        ),
        Condition(
            "procedure_recent",
            "a completed procedure of the last `within_days` has one of `text_any` in its words",
            _procedure_recent,
            members(("text_any", "within_days"), text_any=TEXTS, within_days=DAYS),
            lambda spec: (
                f"{' or '.join(spec['procedure_recent']['text_any'])} in the last "
                f"{spec['procedure_recent']['within_days']} days"
            ),
            needs("Procedure"),
        ),
        *SETTING_CONDITIONS,
    ),
    gaps={"mme": _mme_gap},
    not_compared=_not_counted,
    changes={"under_50_mme": under_50_mme, "half_dose": half_dose},
)
