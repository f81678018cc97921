"""Contrast, radiation and implants: conditions and texts about imaging that is ordered."""

import re

from cards.extension import Fact
from cards.rules.conditions.condition import (
    MEDICATION_LISTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    flag,
    needs,
    one_of,
)
from cards.rules.conditions.words.patient import PREGNANCY
from cards.rules.families.orders.study import study_of
from cards.rules.patient.context import RuleContext
from cards.text import plain
from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.implants import Implant, MrSafety, implants
from fhir.mapping.pregnancy import pregnancy_signs

# Gadolinium: ACR groups, as quoted from the ACR manual 10.3 of 2018
_GROUP_ONE = re.compile(r"gadodiamide|omniscan|gadopentetate|magnevist|gadoversetamide|optimark", re.IGNORECASE)
_GROUP_TWO = re.compile(
    r"gadobenate|multihance|gadobutrol|gadavist|gadovist|gadoterate|dotarem|clariscan|gadoteridol|prohance",
    re.IGNORECASE,
)
_NEGATIVE_DAYS = 14


def _agent_group(spec: Spec) -> Predicate:
    wanted = spec["gadolinium_group"]

    def test(context: RuleContext) -> Truth:
        detail = study_of(context).detail
        group = "I" if _GROUP_ONE.search(detail) else "II" if _GROUP_TWO.search(detail) else "not stated"
        return bool(group == wanted)

    return Predicate(test)


def agent_words(context: RuleContext) -> str | None:
    """Return the group I agent that the order names."""
    match = _GROUP_ONE.search(study_of(context).detail)
    return match[0].lower() if match is not None else None


def _pregnancy_possible(context: RuleContext) -> Truth:
    """Say yes of women of 12 to 50 with nothing that prevents a pregnancy and no negative test in the last 14 days."""
    record = context.session.record
    newest = next(iter(pregnancy_signs(record).negative), None)
    if newest is not None and newest.time.whole_days(record.as_of_epoch) <= _NEGATIVE_DAYS:
        return False
    return childbearing_no_contraception(record, [medication.medication for medication in context.session.active])


def _implants_that_are(context: RuleContext, safety: MrSafety) -> list[Implant]:
    return [implant for implant in implants(context.session.record) if implant.safety is safety]


def _implant(spec: Spec) -> Predicate:
    safety = MrSafety(spec["implant"])

    def test(context: RuleContext) -> Truth:
        if _implants_that_are(context, safety):
            return True
        return False if context.session.record.was_requested("Device") else None

    def facts(context: RuleContext) -> list[Fact]:
        matching_implants = _implants_that_are(context, safety)
        return [
            Fact("implant", plain(implant.words, 80), implant.kind, source=implant.source)
            for implant in matching_implants
        ]

    return Predicate(test, facts, frozenset({"implants"}))


def _implants_gap(context: RuleContext) -> tuple[str, str] | None:
    is_known = context.session.record.was_requested("Device")
    return None if is_known else ("devices-missing", "the patient's implants and devices are not known.")


GAPS = {"implants": _implants_gap}
"""Why it is not known whether the patient has an implant."""


def device_words(context: RuleContext) -> str | None:
    """Return the implant that is MR unsafe, else the one of whose MR safety nothing is written."""
    matching_implants = [
        *_implants_that_are(context, MrSafety.UNSAFE),
        *_implants_that_are(context, MrSafety.UNDOCUMENTED),
    ]
    return plain(matching_implants[0].words, 60) if matching_implants else None


WORDS: tuple[Condition, ...] = (
    Condition(
        "implant",
        "an implant that matters to an MR scan is on the chart, and its MR safety is `undocumented`, `unsafe` or "
        "`conditional` (safe or under conditions)",
        _implant,
        one_of(*(safety.value for safety in MrSafety)),
        lambda spec: f"an implant whose MR safety is {spec['implant']}",
        needs("Device", "Condition", "Procedure"),
    ),
    Condition(
        "gadolinium_group",
        "the order names a gadolinium agent of this ACR group (`I`, `II`), or none (`not stated`)",
        _agent_group,
        one_of("I", "II", "not stated"),
        lambda spec: f"gadolinium group {spec['gadolinium_group']}",
    ),
    flag(
        "pregnancy_possible",
        _pregnancy_possible,
        "a woman of 12 to 50, nothing on record that prevents a pregnancy, no negative test in 14 days",
        frozenset({"childbearing", "sex", "age", "conditions", "active"}),
        needs=PREGNANCY | MEDICATION_LISTS,
    ),
)
