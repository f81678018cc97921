"""Vaccines: whether the drafted dose would count if it were given today, by CDC's logic for ACIP recommendations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from operator import itemgetter
from typing import Final

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, Truth, flag, needs, one_of, with_value
from cards.rules.engine.family import Family, Placeholder, written
from cards.rules.patient.context import RuleContext
from cards.vaccines.course import CONFLICT, TOO_OLD, TOO_YOUNG, DoseStatus, Evaluation
from cards.vaccines.groups import assess
from cards.vaccines.knowledge import load_knowledge
from cards.vaccines.patient import read_person
from fhir.mapping.immunizations import VaccineDose
from fhir.mapping.medications.active import ended_medications

_REASONS: Final = {"conflict": CONFLICT, "too_young": TOO_YOUNG, "too_old": TOO_OLD}
_KEY: Final = "cvx-"
# Names of vaccines that have no CVX code of their own as a key: rotavirus, formulation not stated.
_CVX: Final = {"atc-J07BH01": "122"}
_LATE_START: Final = "late start"
_UNREAD_SHOWN: Final = 3
# CDC CDSi 4.64, observations 125 to 141: days after which measles and varicella vaccine are given again; 11 months
# after IGIV in Kawasaki disease, up to 6 months after hyperimmune globulins.
_ANTIBODY_DAYS: Final[Mapping[str, float]] = {
    "5666": 330.0,
    "22178": 180.0,
    "26744": 180.0,
    "89886": 180.0,
    "1727875": 180.0,
    "39385": 180.0,
    "atc-J06BB11": 180.0,
}


def _drafted_cvx(context: RuleContext) -> str | None:
    keys = [key for key in context.medication.rxcuis if key is not None]
    return next((_CVX.get(key) or key.removeprefix(_KEY) for key in keys if key in _CVX or key.startswith(_KEY)), None)


def _evaluations(context: RuleContext) -> tuple[tuple[Evaluation, date | None], ...]:
    """Return how the drafted dose is judged in each series that fits, if given today, and when the next one is due."""
    return context.session.derive(("vaccine today", context.drafted), lambda: tuple(_evaluate(context)))


def _evaluate(context: RuleContext) -> Iterator[tuple[Evaluation, date | None]]:
    record, cvx = context.session.record, _drafted_cvx(context)
    charted = record.derive(read_person) if cvx is not None else None
    knowledge = load_knowledge()
    if charted is None or cvx not in knowledge.schedule.vaccines:
        return
    today = record.as_of.date()
    if any(dose.given == today for dose in charted.person.doses):
        return  # the dose may be the one that was ordered
    person = replace(charted.person, doses=(*charted.person.doses, VaccineDose(today, cvx)))
    antigens = [part.antigen for part in knowledge.schedule.vaccines[cvx].antigens]
    for forecast in assess(person, today, knowledge, antigens):
        for candidate in forecast.best:
            evaluations = [item for item in candidate.course.evaluations if item.dose.given == today]
            # CDC counts a first rotavirus dose after 15 weeks that was given by mistake, and advises against it.
            is_late = _LATE_START in candidate.series.name.lower() and len(person.doses) == 1
            due = candidate.forecast.recommended
            yield from (
                (Evaluation(item.dose, DoseStatus.NOT_VALID, TOO_OLD) if is_late else item, due) for item in evaluations
            )


def _due(context: RuleContext) -> str:
    """Return the day from which the next dose is recommended."""
    days = [due.isoformat() for _, due in _evaluations(context) if due is not None]
    return max(days, default="the age of the schedule")


def _would_be(wanted: str, context: RuleContext) -> Truth:
    evaluations = [evaluation for evaluation, _ in _evaluations(context)]
    counts = any(item.status is DoseStatus.VALID for item in evaluations)
    if not counts and any(item.reason == _REASONS[wanted] for item in evaluations):
        return True
    return None if _drafted_cvx(context) is not None and _today_gap(context) is not None else False


def _last_live_facts(wanted: str, context: RuleContext) -> list[Fact]:
    earlier = _earlier(context) if wanted == "conflict" else None
    return [Fact("immunization", "Last live vaccine", effective=earlier.isoformat())] if earlier is not None else []


def _today_gap(context: RuleContext) -> tuple[str, str] | None:
    """Return why a dose of today is not judged: without an age or a record, or with entries that are not understood."""
    if not context.session.record.was_requested("Immunization"):
        return "vaccines-missing", "the vaccination record is not known."
    charted = context.session.record.derive(read_person)
    if charted is None:
        return "age-missing", "the age is not known."
    unread = "; ".join(refusal.text.removesuffix(".") for refusal in charted.history.unread[:_UNREAD_SHOWN])
    return ("vaccines-unreadable", f"these entries were not counted as doses: {unread}.") if unread else None


def _antibodies(context: RuleContext) -> tuple[str, str | None, str] | None:
    """Return the immune globulin that can block the vaccine, the day it was ordered and its source."""
    for key, days in _ANTIBODY_DAYS.items():
        for use in context.session.with_key(key):
            if use.drafted is None:
                return use.medication.name, use.since, use.source
        for entry in ended_medications(context.session.record, days):
            if key in entry.identity.rxcuis:
                return entry.name, entry.authored.text if entry.authored is not None else None, entry.source
    return None


def _antibody_facts(context: RuleContext) -> list[Fact]:
    globulin = _antibodies(context)
    return [Fact("medication", globulin[0], effective=globulin[1], source=globulin[2])] if globulin is not None else []


def _earlier(context: RuleContext) -> date | None:
    """Return the day of the last live vaccine before the drafted one."""
    charted = context.session.record.derive(read_person)
    live = {cvx for conflict in load_knowledge().schedule.conflicts for cvx in conflict.previous}
    days = [dose.given for dose in charted.person.doses if dose.cvx in live] if charted is not None else []
    return max(days, default=None)


FAMILY = Family(
    "vaccines",
    placeholders={
        "last_live": Placeholder(written(_earlier, date.isoformat), "2026-11-20"),
        "due": Placeholder(_due, "2026-11-20"),
        "globulin": Placeholder(written(_antibodies, itemgetter(0)), "cytomegalovirus immune globulin"),
    },
    conditions=(
        with_value(
            "dose_today",
            one_of(*_REASONS),
            _would_be,
            lambda wanted: f"given today it would not count: {_REASONS[wanted].lower()}",
            "the drafted vaccine, given today, would not count for this reason (CDC, ACIP logic)",
            frozenset({"vaccines"}),
            _last_live_facts,
            needs("Immunization"),
        ),
        flag(
            "recent_antibodies",
            lambda context: _antibodies(context) is not None,
            "an immune globulin is taken, or ended within CDC's interval before measles or varicella vaccine",
            facts=_antibody_facts,
            needs=MEDICATION_LISTS,
        ),
    ),
    gaps={"vaccines": _today_gap},
)
