"""What a chart tells before a talk about an anticoagulant: rhythm, what is taken or was stopped, what is against it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

from cards.rules.families.ddi.conditions import order_treats
from cards.text import format_number, plain
from cds_hooks.call.services._current_medications import stopped_medicine, stops_of
from cds_hooks.call.services._exclusions import (
    Exclusion,
    find_named_in_chart,
    not_known_whether_taken,
    talk_planned,
)
from fhir.mapping.conditions import ConditionHit, condition_hit, condition_status, doubt_of, find_condition
from fhir.mapping.declined import declined_medicine
from fhir.mapping.medications.active import active_medications
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Procedure
from fhir.terminology.assertions import states
from fhir.terminology.conditions import condition_groups_of

# RE-LY (Connolly 2009) left out people with gastrointestinal bleeding within a year: table 5 of PMC3956385.
_BLEEDING_DAYS: Final = 365.0
_NEWEST_DAYS: Final = 90.0
_VERY_LOW: Final = (("hemoglobin", "Hemoglobin", 8.0, "g/dL"), ("platelets", "Platelets", 50.0, "×10³/µL"))
"""Below these: grade 3 of CTCAE 5.0 (2017), for hemoglobin with 'transfusion indicated'."""
_BY_MOUTH: Final = frozenset({"vka", "doac"})
_CALLED: Final = re.compile(
    r"anti-?[ck]oag|blood thinner|blutverd|warfarin|coumadin|phenprocoumon|marcumar|\b(?:[dn]?oa[ck]|avk)s?\b"
    r"|xaban|eliquis|xarelto|dabigatran|pradaxa",
    re.IGNORECASE,
)
# CPT: closure of the left atrial appendage with an implant (33340), exclusion of it in surgery (33267 to 33269).
_CLOSED: Final = (
    *("appendage clos", "appendage occlu", "appendage exclu", "appendage ligat"),
    *("closure of left atrial appendage", "closure of the left atrial appendage"),
    *("occlusion of left atrial appendage", "occlusion of the left atrial appendage"),
    *("exclusion of left atrial appendage", "exclusion of the left atrial appendage"),
    *("watchman", "atriclip", "laa clip", "laa clos", "laa occlu", "laa exclu", "laa ligat"),
    *("vorhofohrversch", "vorhofohrokkl", "fermeture de l'auricule", "fermeture de l’auricule", "cierre de orejuela"),
    *("cierre de la orejuela", "chiusura auricola", "chiusura dell'auricola", "hartoorsluit", "hartoorafsluit"),
)
_CLOSED_CODES: Final = tuple(f"http://www.ama-assn.org/go/cpt|{code}" for code in ("33340", "33267", "33268", "33269"))
_SAYS_CLOSED: Final = re.compile("|".join(map(re.escape, _CLOSED)), re.IGNORECASE)
TALK: Final = "Shared decision: anticoagulation in atrial fibrillation"
RHYTHM_GROUP: Final = "afib"
LISTED_GROUP: Final = "anticoagulant_long_term"
_EVER: Final = 200 * 365.25
_SAME_STAY_DAYS: Final = 14.0
_LISTED_DAYS: Final = 365.0
"""So long "long-term use of anticoagulants" on the problem list counts without an order; the project's own choice."""
_RHYTHM: Final = re.compile(
    r"\batrial (?:fibrillation|flutter|fib)\b|\b(?:PAF|[Aa]-?[Ff]ib)\b"
    r"|\bAF\b(?=.{0,80}(?:ablat|PVI|isolation|cardiover|s/p))|\b(?:ablation|isolation) (?:of|for) AF\b",
    re.IGNORECASE,
)
_AFTER_SURGERY: Final = re.compile(r"post-?\s?op|peri-?\s?op|after (?:surgery|cabg)", re.IGNORECASE)
# CPT 93656: ablation of atrial fibrillation by pulmonary vein isolation (AMA).
_ABLATED: Final = re.compile(
    r"pulmonary vein isolation|\bPVI\b|ablation (?:of|for) (?:atrial fib|AF\b|a-?fib)", re.IGNORECASE
)
_RIVAROXABAN: Final = "1114195"
_VASCULAR_MG: Final = 5.0
"""Milligrams a day: 2.5 mg twice daily is for coronary and peripheral artery disease with aspirin; for atrial
fibrillation the dose is 20 mg or 15 mg (label, section 2.1, on the manufacturer's dosing page, 2026-11-23)."""
_ABLATION_CODE: Final = "93656"
_PROPHYLAXIS: Final = re.compile(r"prophyla|\bppx\b", re.IGNORECASE)


def _closed_appendage(record: PatientRecord) -> str | None:
    """Return the procedure that closed it, or the problem that says so ("Presence of Watchman device"), as Type/id."""
    done = find_named_in_chart(record, (*_CLOSED_CODES, *_CLOSED), _EVER, only_done=True)
    problems = (f"Condition/{problem.id}" for problem in record.facts(Condition) if _is_device(problem, record))
    return done or next(problems, None)


def _is_device(problem: Condition, record: PatientRecord) -> bool:
    words = problem.code.words if problem.code is not None else ""
    is_fact = states(_SAYS_CLOSED, words) and not doubt_of(problem)
    return is_fact and condition_status(problem, record.as_of_epoch) != "past"


def _intracranial_bleeding(record: PatientRecord) -> str | None:
    hit = find_condition(record, "intracranial_bleeding")
    return condition_words(hit) if hit is not None else None


def _bleeding(record: PatientRecord) -> str | None:
    hit = find_condition(record, "bleeding_major")
    if hit is None or (hit.time is None and hit.status == "past"):
        return None
    is_old = hit.time is not None and hit.time.whole_days(record.as_of_epoch) > _BLEEDING_DAYS
    return None if is_old else condition_words(hit)


def very_low(record: PatientRecord) -> str | None:
    """Return the blood count that is too low for a talk, with its limit."""
    for analyte, words, limit, unit in _VERY_LOW:
        measurement = record.newest(analyte, _NEWEST_DAYS)
        if measurement is not None and measurement.value < limit:
            value = f"{format_number(measurement.value, [limit])} {unit} ({measurement.time.date})"
            return f"{words} {value} is under {limit:g} {unit}"
    return None


def condition_words(hit: ConditionHit) -> str:
    words = plain(hit.words, 110)
    return f"{words}, {hit.time.date}" if hit.time is not None else words


def stopped_anticoagulant(record: PatientRecord) -> str | None:
    """Return the anticoagulant by mouth that was stopped in the last year, with the chart's date; None for none."""
    stopped = stopped_medicine(record, _BY_MOUTH)
    return f"{stopped.words} {stopped.dated}" if stopped is not None else None


def rhythm_of(record: PatientRecord) -> ConditionHit | None:
    """Return the fibrillation or flutter on record, the active one first."""
    return find_condition(record, RHYTHM_GROUP) or _past_rhythm(record)


def _past_rhythm(record: PatientRecord) -> ConditionHit | None:
    """Return the fibrillation or flutter that the chart has as past: resolved, in a history, or ablated; None for none.

    One of the days after an operation is another question of the guideline and is left out.
    """
    hits = (_as_past_rhythm(condition, record) for condition in record.facts(Condition) if not doubt_of(condition))
    hit = next((hit for hit in hits if hit is not None), None)
    return hit if hit is not None else next(filter(None, map(_ablated, record.facts(Procedure))), None)


def _as_past_rhythm(condition: Condition, record: PatientRecord) -> ConditionHit | None:
    words = condition.code.words if condition.code is not None else ""
    if _AFTER_SURGERY.search(words):
        return None
    codings = condition.code.coding if condition.code is not None else ()
    code = next(
        (coding.code for coding in codings if RHYTHM_GROUP in condition_groups_of(coding.system, coding.code)), None
    )
    if code is None and not states(_RHYTHM, words):
        return None
    hit = condition_hit(RHYTHM_GROUP, condition, code or "", record)
    return None if hit.time is not None and hit.time.is_after(record.as_of_epoch) else hit


def _ablated(procedure: Procedure) -> ConditionHit | None:
    """Return an ablation of atrial fibrillation that was done."""
    code = procedure.code
    if procedure.status != "completed" or code is None:
        return None
    is_coded = any(coding.code == _ABLATION_CODE for coding in code.coding)
    if not is_coded and not states(_ABLATED, code.words):
        return None
    return ConditionHit(RHYTHM_GROUP, code.words, "", f"Procedure/{procedure.id}", procedure.performed, "past")


class Anticoagulation(Struct, frozen=True):
    """What of the medication list keeps strokes away, and which anticoagulant is there in a low dose only."""

    treating: str | None
    preventing: str | None


def anticoagulation(record: PatientRecord) -> Anticoagulation:
    """Return the names of the first active anticoagulant in a treatment dose, and of the first in a prophylactic one.

    A dose that is not known counts as a treatment: nothing is said of a patient who may be treated.
    """
    treating = preventing = None
    for medication in active_medications(record):
        identity = medication.identity
        if "anticoagulant" not in identity.classes or identity.systemic is False:
            continue
        treats = order_treats(identity, medication.dose, medication.order)
        daily = medication.dose.daily(_RIVAROXABAN) if _RIVAROXABAN in identity.rxcuis else None
        if daily is not None and daily.high <= _VASCULAR_MG:
            treats = False
        if treats is None and _PROPHYLAXIS.search(identity.words):
            treats = False
        if treats is False:
            preventing = preventing or plain(medication.name, 40)
        else:
            treating = treating or plain(medication.name, 40)
    return Anticoagulation(treating, preventing)


def _listed_in_force(record: PatientRecord) -> str | None:
    listed = find_condition(record, LISTED_GROUP)
    return condition_words(listed) if listed is not None and _still_holds(listed, record) else None


def _still_holds(listed: ConditionHit, record: PatientRecord) -> bool:
    """Whether the entry is of the last year and no anticoagulant was stopped after it.

    What ends with the stay in which the entry was made is not an end of the treatment.
    """
    if listed.time is None:
        return stopped_anticoagulant(record) is None
    if listed.time.whole_days(record.as_of_epoch) > _LISTED_DAYS:
        return False
    instant = max((stop.time.instant for stop in stops_of(record, _BY_MOUTH)), default=listed.time.instant)
    return instant - listed.time.instant <= _SAME_STAY_DAYS * DAY_SECONDS


def _doubtful(record: PatientRecord) -> str | None:
    rhythm = record.derive(rhythm_of)
    return f"{plain(rhythm.words, 60)} is on record as {rhythm.doubt}" if rhythm is not None and rhythm.doubt else None


def _in_rhythm(code: str, text: str, find: Callable[[PatientRecord], object]) -> Exclusion:
    """Return a row of those patients alone who have fibrillation or flutter."""
    return Exclusion(code, text, lambda record: find(record) if record.derive(rhythm_of) is not None else None)


_UNKNOWN: Final = not_known_whether_taken("an anticoagulant", "anticoagulant")
NO_TALK: Final = (
    talk_planned(TALK),
    _in_rhythm(_UNKNOWN.code, _UNKNOWN.text, _UNKNOWN.find),
    Exclusion("already-done", "An anticoagulant is active ({found}).", lambda chart: anticoagulation(chart).treating),
    Exclusion("already-done", "Long-term use of an anticoagulant is on the problem list ({found}).", _listed_in_force),
    _in_rhythm("declined", "{found}", partial(declined_medicine, classes=_BY_MOUTH, called=_CALLED)),
    _in_rhythm("outside-population", "CHA2DS2-VASc: {found} only, which is not a confirmed diagnosis.", _doubtful),
    _in_rhythm(
        "contraindicated",
        "Intracranial bleeding is on record ({found}): anticoagulation after it is a separate decision, so no score is "
        "shown.",
        _intracranial_bleeding,
    ),
    _in_rhythm(
        "contraindicated", "Major bleeding of the last year is on record ({found}): no talk is suggested.", _bleeding
    ),
    _in_rhythm("contraindicated", "{found} (CTCAE 5.0, grade 3): no talk is suggested.", very_low),
    _in_rhythm("already-done", "The left atrial appendage is closed ({found}).", _closed_appendage),
    _in_rhythm(
        "contraindicated",
        "A pregnancy is on record: CHA2DS2-VASc does not apply in pregnancy, and warfarin may harm the child.",
        lambda record: find_condition(record, "pregnancy"),
    ),
)
"""For whom no talk is suggested, beside those of every talk: they are asked in this order."""
