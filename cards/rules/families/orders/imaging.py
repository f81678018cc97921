"""Contrast, radiation and implants: conditions and texts about imaging that is ordered."""

import re

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, Condition, Truth, flag, needs, one_of, with_value
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


def _agent_group(wanted: str, context: RuleContext) -> Truth:
    detail = study_of(context).detail
    return wanted == ("I" if _GROUP_ONE.search(detail) else "II" if _GROUP_TWO.search(detail) else "not stated")


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


def _implants_that_are(safety: str, context: RuleContext) -> list[Implant]:
    return [implant for implant in implants(context.session.record) if implant.safety.value == safety]


def _has_implant(safety: str, context: RuleContext) -> Truth:
    if _implants_that_are(safety, context):
        return True
    return False if context.session.record.was_requested("Device") else None


def _implant_facts(safety: str, context: RuleContext) -> list[Fact]:
    return [
        Fact("implant", plain(implant.words, 80), implant.kind, source=implant.source)
        for implant in _implants_that_are(safety, context)
    ]


def _implants_gap(context: RuleContext) -> tuple[str, str] | None:
    is_known = context.session.record.was_requested("Device")
    return None if is_known else ("devices-missing", "the patient's implants and devices are not known.")


GAPS = {"implants": _implants_gap}
"""Why it is not known whether the patient has an implant."""


def device_words(context: RuleContext) -> str | None:
    """Return the implant that is MR unsafe, else the one of whose MR safety nothing is written."""
    matching_implants = [
        *_implants_that_are(MrSafety.UNSAFE.value, context),
        *_implants_that_are(MrSafety.UNDOCUMENTED.value, context),
    ]
    return plain(matching_implants[0].words, 60) if matching_implants else None


WORDS: tuple[Condition, ...] = (
    with_value(
        "implant",
        one_of(*(safety.value for safety in MrSafety)),
        _has_implant,
        "an implant whose MR safety is {}".format,
        "an implant that matters to an MR scan is on the chart, and its MR safety is `undocumented`, `unsafe` or "
        "`conditional` (safe or under conditions)",
        frozenset({"implants"}),
        _implant_facts,
        needs("Device", "Condition", "Procedure"),
    ),
    with_value(
        "gadolinium_group",
        one_of("I", "II", "not stated"),
        _agent_group,
        "gadolinium group {}".format,
        "the order names a gadolinium agent of this ACR group (`I`, `II`), or none (`not stated`)",
    ),
    flag(
        "pregnancy_possible",
        _pregnancy_possible,
        "a woman of 12 to 50, nothing on record that prevents a pregnancy, no negative test in 14 days",
        frozenset({"childbearing", "sex", "age", "conditions", "active"}),
        needs=PREGNANCY | MEDICATION_LISTS,
    ),
)
