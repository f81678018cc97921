"""Checks of findings of the medication rules by what the site says: switches, approvals, and overrides of clinicians.

An override with a reason counts for a while; one without a reason does not count. The client and its patient id, by
which overrides are found, are in the record only. Nothing older than `LONGEST_DAYS` is kept, and what `of_patient`
hands out is never changed afterwards.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Lock
from time import time
from typing import Final

from cards.card import SEVERITY
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import (
    ACKNOWLEDGED,
    SHADOW,
    SWITCHED_OFF,
    Override,
    all_rule_versions,
    ingredients_of,
    numeric_values,
)
from cds_hooks.hold_back.checks import Check, CheckedCall
from cds_hooks.hold_back.sent_cards import LONGEST_DAYS, Answer

_DAY_SECONDS: Final = 86_400.0

Overrides = Mapping[tuple[str, str], Collection[Override]]
"""By rule and band."""
_NO_OVERRIDES: Final[Overrides] = {}


class RuleSwitch(Check):
    """The rules file of the site switches the rule, or its milder bands, off for some clients and units or for all."""

    codes = (SWITCHED_OFF,)
    level = "finding"
    title = "A switch of the rules file"
    lets_through = "A change of [[switch]] in the rules file (CDS_RULES_FILE, docs/rules/governance.md)."

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether the rules file has no switch."""
        return not call.site.switches

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why the site does not want this finding."""
        for switch in call.site.switches.get(finding.rule, ()):
            if switch.holds_for(call.caller.client, call.units()) and switch.silences(finding):
                return _silence(finding, SWITCHED_OFF, f"this site has switched it off: {switch.note}")
        return None


class NotApproved(Check):
    """Behind a trust file a rule shows its findings only in a version that two people have signed."""

    codes = (SHADOW,)
    level = "finding"
    title = "Two people have not approved this version of the rule"
    lets_through = "Two signatures: cds-hooks approve rule NAME --version VERSION --key FILE."

    def __init__(self, *, needs_approval: bool = False) -> None:
        self._needs_approval = needs_approval

    def is_idle(self, call: CheckedCall) -> bool:  # noqa: ARG002 - it is the same for every call
        """Returns whether rules need no approval here."""
        return not self._needs_approval

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why the rule runs in shadow."""
        version = all_rule_versions().get(finding.rule)
        if version is None or call.site.is_approved(finding.rule, version.digest):
            return None  # what is no rule needs no approval: that a drug is not covered
        was = call.site.approvals.get(finding.rule)
        why = "only another version of it is approved here" if was else "it is not approved here"
        return _silence(finding, SHADOW, f"its card ({finding.band}, {finding.indicator}) is not shown: {why}.")


class Acknowledged(Check):
    """A clinician overrode the finding lately with a reason, and the facts have not become worse."""

    codes = (ACKNOWLEDGED,)
    level = "finding"
    title = "A clinician's answer to the same finding"
    remembers = True
    lets_through = "Time (90, 30 or 1 days by severity, or as the rules file says), other drugs, or a worse finding."

    def __init__(self, now: Callable[[], float] = time) -> None:
        """`now` gives epoch seconds: the clock by which calls are answered."""
        self._now = now
        self._by_patient: dict[tuple[str, str], Overrides] = {}
        self._writing = Lock()

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether nobody has answered anything about the patient."""
        return not self.of_patient(call.caller.client, call.caller.patient)

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why the finding is not shown again; it is noted in `call.answered`."""
        overrides = self.of_patient(call.caller.client, call.caller.patient).get((finding.rule, finding.band), ())
        if not overrides:
            return None
        days = call.site.days_of(all_rule_versions()[finding.rule].rule, finding.indicator)
        for override in overrides:
            is_recent = 0 <= call.as_of - override.at <= days * _DAY_SECONDS
            if is_recent and override.counts_for(finding):
                lately = "the last day" if days == 1 else f"the last {days} days"
                text = f"it was answered with “{override.reason}” in {lately}, and its facts have not become worse."
                silence = _silence(finding, ACKNOWLEDGED, text)
                call.answered.append((finding, silence))
                return silence
        return None

    def of_patient(self, client: str, patient: str) -> Overrides:
        """The overrides of each finding of this client's patient, by rule and band; they never change afterwards."""
        return self._by_patient.get((client, patient), _NO_OVERRIDES)

    def take_answer(self, answer: Answer) -> None:
        """Remembers an override with a reason."""
        if answer.is_accepted or not answer.reason or self._now() - answer.at > LONGEST_DAYS * _DAY_SECONDS:
            return
        facts = [(fact.name, fact.value) for fact in answer.card.our_extension.facts]
        override = Override(
            answer.at, answer.card.indicator, answer.reason, ingredients_of(facts), numeric_values(facts)
        )
        with self._writing:
            overrides = self.of_patient(answer.client, answer.patient)
            self._by_patient[answer.client, answer.patient] = _with(overrides, answer.card.findings, override)

    def forget(self) -> None:
        """Leaves out what can no longer count."""
        oldest = self._now() - LONGEST_DAYS * _DAY_SECONDS
        with self._writing:
            overrides_by_patient = {
                patient: _since(oldest, overrides) for patient, overrides in self._by_patient.items()
            }
            self._by_patient = {patient: overrides for patient, overrides in overrides_by_patient.items() if overrides}


def _silence(finding: Finding, reason: str, text: str) -> Silence:
    version = all_rule_versions().get(finding.rule)
    title = version.rule.title if version is not None else "A high-alert drug that no rule is about"
    return Silence(finding.rule, reason, f"{title}: {text}")


def _with(remembered: Overrides, findings: Iterable[tuple[str, str]], override: Override) -> Overrides:
    """Returns a new mapping with one override more for each of these findings."""
    changed = dict(remembered)
    for finding in findings:
        overrides = changed.get(finding, ())
        if override not in overrides:
            still_counting = (earlier for earlier in overrides if not _is_replaced(earlier, override))
            changed[finding] = (*still_counting, override)
    return changed


def _since(oldest: float, overrides_by_finding: Overrides) -> Overrides:
    counting = {
        finding: tuple(override for override in overrides if override.at >= oldest)
        for finding, overrides in overrides_by_finding.items()
    }
    return {finding: overrides for finding, overrides in counting.items() if overrides}


def _is_replaced(override: Override, newer: Override) -> bool:
    """Returns whether the newer override counts for everything that the earlier one counts for."""
    is_wider = override.about <= newer.about and SEVERITY[override.indicator] <= SEVERITY[newer.indicator]
    return is_wider and override.at <= newer.at
