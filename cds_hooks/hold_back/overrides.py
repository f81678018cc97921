"""Checks of findings of the medication rules by what the site says: switches, approvals, and overrides of clinicians.

An override with a reason counts for a while; one without a reason does not count.
"""

from typing import Final

from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import (
    ACKNOWLEDGED,
    SHADOW,
    SWITCHED_OFF,
    all_rule_versions,
)
from cds_hooks.hold_back.checks import Check, CheckedCall
from cds_hooks.hold_back.memory import override_key

_DAY_SECONDS: Final = 86_400.0


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

    def is_idle(self, call: CheckedCall) -> bool:
        """Returns whether nobody has answered anything about the patient."""
        return not call.memory.overrides

    def check_finding(self, finding: Finding, call: CheckedCall) -> Silence | None:
        """Returns why the finding is not shown again; it is noted in `call.answered`."""
        overrides = call.memory.overrides.get(override_key(finding.rule, finding.band), ())
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


def _silence(finding: Finding, reason: str, text: str) -> Silence:
    version = all_rule_versions().get(finding.rule)
    title = version.rule.title if version is not None else "A high-alert drug that no rule is about"
    return Silence(finding.rule, reason, f"{title}: {text}")
