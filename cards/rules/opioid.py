"""Opioids: the rules of opioid.json, with the words, conditions and corrections that only they use."""

import re
from collections.abc import Iterator

from cards.markdown import plain
from cards.rules.condition import COMPARED, Condition, Spec, flag, floor_comparison, only
from cards.rules.fact import Fact
from cards.rules.family import Family
from cards.rules.figures import show
from cards.rules.opioid_changes import half_dose, under_50_mme
from cards.rules.opioid_setting import (
    brief_benzodiazepine,
    for_use_disorder,
    in_hospital,
    long_acting,
    long_acting_words,
    lower_start,
    perioperative,
)
from cards.rules.opioid_view import UNDER_MME, OpioidView, has_rescue_naloxone, opioid_view
from cards.rules.predicate import Predicate, Truth, no_facts
from cards.rules.situation import Situation
from cards.rules.wording import compared
from fhir.record.time import parse_time

_LIMITS = (50.0, 90.0)
_DRUGS = {"type": "array", "items": {"$ref": "#/$defs/drug"}, "minItems": 1}


def _view(situation: Situation) -> OpioidView:
    return opioid_view(situation.chart, situation.drafted)


# Milligrams of oral morphine


def _mme_per_day(spec: Spec) -> Predicate:
    compare, limits = floor_comparison(only(spec, "mme_per_day")["mme_per_day"])

    def test(situation: Situation) -> Truth:
        return compare(*_view(situation).total)

    def facts(situation: Situation) -> list[Fact]:
        return list(_mme_facts(situation))

    return Predicate(test, facts, frozenset({"active", "mme", "resource:MedicationDispense"}), limits)


def _mme_facts(situation: Situation) -> Iterator[Fact]:
    for part in _view(situation).parts:
        if part.dose.high is not None:
            said = f"{part.dose.ingredient.name} {show(part.dose.high, _LIMITS)} MME/day"
            since = part.since.text if part.since is not None else None
            yield Fact("mme", said, part.dose.high, "MME/d", since, part.source)


def _mme(situation: Situation) -> str:
    known, whole = _view(situation).total
    return f"{'' if whole else 'at least '}{show(known, _LIMITS)}"


def _parts(situation: Situation) -> str:
    view, own = _view(situation), situation.drafted.draft.name
    said = []
    for part in view.parts:
        if part.dose.high is not None:
            where = " (this order)" if part.source == own else " (also drafted)" if part.is_draft else ""
            said.append(f"{part.dose.ingredient.name} {show(part.dose.high, _LIMITS)}{where}")
    unknown = f"; not counted: {'; '.join(view.problems)}" if view.problems else ""
    return f"{', '.join(said)}{unknown}"


def _mme_problem(situation: Situation) -> str | None:
    """The first reason, which a summary has room for."""
    problems = _view(situation).problems
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{plain(problems[0], 80)}{more}" if problems else None


def _mme_problems(situation: Situation) -> str:
    return plain("; ".join(_view(situation).problems), 240)


def _mme_known(situation: Situation) -> str:
    known, _ = _view(situation).total
    return f"The rest comes to {show(known, _LIMITS)} MME/day." if known else ""


def _mme_gap(situation: Situation) -> tuple[str, str] | None:
    view = _view(situation)
    if view.total[1]:
        return None
    if situation.drafted.order.dosageInstruction or situation.drafted.dose.per_day:
        return "opioid-dose-unknown", f"the daily opioid dose cannot be computed ({'; '.join(view.problems)})."
    return "dose-not-entered", "the dose is not entered yet."


def _mme_unknown(situation: Situation) -> Truth:
    return not _view(situation).total[1]


# Tolerance and release


def _tolerant(situation: Situation) -> Truth:
    return _view(situation).is_tolerant


def _not_raised(situation: Situation) -> Truth:
    return _view(situation).is_not_raised


def _rescue_naloxone(spec: Spec) -> Predicate:
    days = float(only(only(spec, "rescue_naloxone")["rescue_naloxone"], "within_days")["within_days"])

    def test(situation: Situation) -> Truth:
        return has_rescue_naloxone(situation.chart, days)

    return Predicate(test, no_facts, frozenset({"active", "history", "resource:MedicationDispense"}))


def _procedure_recent(spec: Spec) -> Predicate:
    inner = only(only(spec, "procedure_recent")["procedure_recent"], "text_any", "within_days")
    words = re.compile("|".join(map(re.escape, inner["text_any"])), re.IGNORECASE)
    days = float(inner["within_days"])

    def test(situation: Situation) -> Truth:
        if list(found(situation)):
            return True
        return False if situation.chart.record.knows("Procedure") else None

    def found(situation: Situation) -> Iterator[Fact]:
        record = situation.chart.record
        for procedure in record.procedures:
            period = procedure.performedPeriod
            when = procedure.performedDateTime or (period.end or period.start if period is not None else None)
            time = parse_time(when) if when else None
            said = procedure.code.words if procedure.code is not None else ""
            in_time = time is not None and int(time.age_days(record.as_of_epoch)) <= days
            if time is not None and in_time and procedure.status == "completed" and words.search(said):
                yield Fact("procedure", said, effective=time.text, source=f"Procedure/{procedure.id}")

    return Predicate(test, lambda situation: list(found(situation)), frozenset({"resource:Procedure"}))


# Words


def _list_gap(situation: Situation) -> str:
    if situation.chart.record.knows("MedicationRequest"):
        return "Opioids from elsewhere are not seen here."
    return "The list of medications did not come with this call."


def _age(situation: Situation) -> str | None:
    return str(situation.age_years) if situation.age_years is not None else None


_RISKS = {
    "opioid_use_disorder": "opioid use disorder",
    "substance_use_disorder": "substance use disorder",
    "overdose": "an earlier overdose",
    "sleep_apnea": "sleep apnoea",
}


def _risk_list(situation: Situation) -> list[str]:
    known, whole = _view(situation).total
    found = [f"{'' if whole else 'at least '}{show(known, _LIMITS)} MME/day"] if known >= UNDER_MME else []
    if situation.chart.taken_beside(situation.drafted, ("benzodiazepine",)):
        found.append("a benzodiazepine")
    for key, words in _RISKS.items():
        hit = situation.chart.condition(key)
        if hit is not None:
            found.append(f"{words}{f' ({hit.time.date})' if hit.time is not None else ''}")
    age = situation.age_years
    if age is not None and age >= 65 and situation.chart.taken_beside(situation.drafted, ("gabapentinoid",)):
        found.append("a gabapentinoid at 65 or over")
    return found


def _risk(situation: Situation) -> str | None:
    found = _risk_list(situation)
    return None if not found else found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more"


def _risks(situation: Situation) -> str:
    """All of them, where the summary could not name all."""
    found = _risk_list(situation)
    return f"Risk factors found: {', '.join(found)}. " if len(found) > 1 else ""


FAMILY = Family(
    "opioid",
    words={
        "mme": _mme,
        "parts": _parts,
        "mme_problem": _mme_problem,
        "mme_problems": _mme_problems,
        "mme_known": _mme_known,
        "list_gap": _list_gap,
        "age": _age,
        "risk": _risk,
        "risks": _risks,
    },
    longest={
        "mme": "at least 1,234.5",
        "mme_problem": f"{'x' * 80} (and 3 more)",
        "age": "17",
        "risk": "substance use disorder (2026-11-20) and 3 more",
    },
    conditions={
        "mme_per_day": Condition(_mme_per_day, COMPARED, lambda spec: compared("MME a day", spec["mme_per_day"])),
        "mme_unknown": flag(
            "mme_unknown", _mme_unknown, "a part of the MME is not known", frozenset({"active", "mme"})
        ),
        "mme_not_raised": flag(
            "mme_not_raised", _not_raised, "the MME of the last 30 days is not exceeded", frozenset({"active", "mme"})
        ),
        "opioid_tolerant": flag(
            "opioid_tolerant", _tolerant, "opioid-tolerant on record", frozenset({"active", "history", "tolerance"})
        ),
        "rescue_naloxone": Condition(
            _rescue_naloxone,
            {
                "type": "object",
                "required": ["within_days"],
                "properties": {"within_days": {"type": "number", "exclusiveMinimum": 0}},
                "additionalProperties": False,
            },
            lambda spec: f"rescue naloxone in the last {spec['rescue_naloxone']['within_days']} days",
        ),
        "long_acting": Condition(
            long_acting,
            {
                "type": "object",
                "required": ["of"],
                "properties": {"of": {"enum": ["draft", "active"]}, "ingredients": _DRUGS},
                "additionalProperties": False,
            },
            long_acting_words,
        ),
        "procedure_recent": Condition(
            _procedure_recent,
            {
                "type": "object",
                "required": ["text_any", "within_days"],
                "properties": {
                    "text_any": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
                    "within_days": {"type": "number", "exclusiveMinimum": 0},
                },
                "additionalProperties": False,
            },
            lambda spec: (
                f"{' or '.join(spec['procedure_recent']['text_any'])} in the last "
                f"{spec['procedure_recent']['within_days']} days"
            ),
        ),
        "in_hospital": flag(
            "in_hospital", in_hospital, "an inpatient or emergency order", frozenset({"resource:Encounter"})
        ),
        "perioperative": flag("perioperative", perioperative, "the order is for a procedure"),
        "for_use_disorder": flag(
            "for_use_disorder", for_use_disorder, "the opioid treats opioid use disorder", frozenset({"conditions"})
        ),
        "brief_benzodiazepine": flag(
            "brief_benzodiazepine", brief_benzodiazepine, "the benzodiazepine is for one occasion",
            frozenset({"active"}),
        ),
        "lower_start": flag("lower_start", lower_start, "the order says that it starts lower"),
    },
    gaps={"mme": _mme_gap},
    changes={"under_50_mme": under_50_mme, "half_dose": half_dose},
)  # fmt: skip
