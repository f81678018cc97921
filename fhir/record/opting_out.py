"""Whether a patient has opted out of decision support: by a security label, a Consent, or a flag of the site's own.

A Consent says it with a provision of type deny for the purpose TREATDS, "decision support assisted treatment decision"
(HL7 Terminology 7.3.0, CodeSystem v3-ActReason; read on 2026-11-21). For a flag HL7 has no such code, so the site
names its own. What narrows a denial (actor, class, data) is not read: it counts as a whole. Checks that warn of harm
serve another purpose of the same code system, PATSFTY, "processes related to ensuring the safety of health care", which
a denial of TREATDS does not name; so who asks decides what an opt-out silences (services/_equation.py).
"""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterable, Iterator
from typing import Final

from fhir.record.datatypes import (
    DAY_SECONDS,
    ChartResource,
    ChartText,
    CodeableConcept,
    Coding,
    Element,
    Period,
    Subject,
)

SystemAndCode = tuple[str, str]
"""A code with its system."""

_SECURITY_LABEL: Final = ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTOUT")
_DECISION_SUPPORT: Final = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREATDS")
_ZONE_SLACK_SECONDS: Final = 14 * 3600.0
"""A day without a time ends last at UTC-12, and clocks differ: so far a denial is taken to be still in force."""


class ConsentProvision(Element, frozen=True, gc=False):
    """A rule of a Consent: what is permitted or denied for which purposes, from when to when."""

    type: ChartText | None = None
    period: Period | None = None
    purpose: tuple[Coding, ...] = ()
    provision: tuple[ConsentProvision, ...] = ()


class Consent(ChartResource, frozen=True, gc=False, tag="Consent"):
    """What a patient permits or denies."""

    status: ChartText
    patient: Subject | None = None
    category: tuple[CodeableConcept, ...] = ()
    dateTime: ChartText | None = None
    provision: ConsentProvision | None = None


class Flag(ChartResource, frozen=True, gc=False, tag="Flag"):
    """A warning or notice that a site puts on a chart."""

    status: ChartText
    code: CodeableConcept | None = None
    subject: Subject | None = None
    period: Period | None = None


def opted_out_by(
    labels: Iterable[Coding],
    consents: Iterable[Consent],
    flags: Iterable[Flag],
    flag_codes: frozenset[SystemAndCode],
    as_of_epoch: float,
) -> str:
    """Return what says that the patient has opted out, in words; empty where nothing does.

    `labels` are the security labels of the Patient, `flag_codes` the codes that mean it on a flag at this site. Of
    several Consents one that denies is enough: a Consent that was replaced is no longer active.
    """
    if any((label.system, label.code) == _SECURITY_LABEL for label in labels):
        return "security label OPTOUT of the Patient"
    for consent in consents:
        if consent.status == "active" and any(map(_denies, _rules_in_force(consent, as_of_epoch))):
            return f"{consent.called} denies decision support"
    for flag in flags:
        codes = flag.code.coding if flag.code is not None else ()
        if (
            flag.status == "active"
            and any((code.system, code.code) in flag_codes for code in codes)
            and _is_in_force(flag.period, as_of_epoch)
        ):
            return f"{flag.called} of the site"
    return ""


def _rules_in_force(consent: Consent, as_of_epoch: float) -> Iterator[ConsentProvision]:
    """Yield the provisions, those within others too, whose own period and those around them are in force."""
    waiting = [consent.provision] if consent.provision is not None else []
    while waiting:
        rule = waiting.pop()
        if _is_in_force(rule.period, as_of_epoch):
            yield rule
            waiting.extend(rule.provision)


def _denies(rule: ConsentProvision) -> bool:
    return rule.type == "deny" and any((purpose.system, purpose.code) == _DECISION_SUPPORT for purpose in rule.purpose)


def _is_in_force(period: Period | None, as_of_epoch: float) -> bool:
    """Whether the period holds at this instant; an end that cannot be read does not end it."""
    if period is None:
        return True
    start, end = period.begin, period.finish
    if start is not None and start.is_after(as_of_epoch):
        return False
    if end is None:
        return True
    last = end.instant if end.precision == "instant" else timegm(end.last_day.timetuple()) + DAY_SECONDS
    return as_of_epoch <= last + (0.0 if end.precision == "instant" else _ZONE_SLACK_SECONDS)
