"""A payer's own policies as rules of its site: each has a version, two people approve it, and a switch silences it.

The mechanisms are those of rules (docs/rules/governance.md): the id of a policy begins with `payer-`.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from cards.coverage.policy import Policies, Policy
from cards.rules.engine.finding import RuleFinding
from cards.rules.language.rule import Audit, Band, Evidence, Rule, RuleTable, Trigger

_FAMILY: Final = "coverage"
_BAND: Final = "policy"


def policy_tables(policies: Policies) -> Iterator[RuleTable]:
    """Yield a table for each payer of the payer's own folder, with its policies as rules."""
    for payer_id in sorted(policies.own_payers):
        payer = policies.payers[payer_id]
        rows = [policy for policy in policies.every() if policy.payer == payer_id]
        reviewed = max((policy.reviewed for policy in rows), default="")
        rules = tuple(_rule(policy, payer.name, policies) for policy in rows)
        source = f"coverage/policies.csv of {payer.name}"
        yield RuleTable(_FAMILY, f"Policies of {payer.name}", reviewed, "in use", source, (), rules)


def _rule(policy: Policy, payer: str, policies: Policies) -> Rule:
    """Return a policy whose declaration holds the whole row and its criteria, so that any change is another version."""
    year, title = policy.effective_from.isoformat()[:4], f"{policy.code}: {policy.category} ({payer})"
    declared = msgspec.json.encode((policy, policies.criteria_of(policy)), enc_hook=sorted, order="deterministic")
    pages = [page for page in policy.source.split() if page.startswith(("http://", "https://"))]
    evidence = Evidence(policy.source, payer, year, policy.id, policy.source, "policy", "payer", "policy", *pages[:1])
    until = f" to {policy.effective_to}" if policy.effective_to else ""
    summary = f"{policy.basis}, {policy.pa_needed or 'nothing said'}, from {policy.effective_from}{until}"
    band = Band(_BAND, {"age_years": {"ge": 0}}, "info", summary, declared.decode())
    audit = Audit("source read", policy.source, policy.reviewed or policy.effective_from.isoformat())
    return Rule(rule_of(policy), title, 0, Trigger(), (evidence,), audit, (band,))


def rule_of(policy: Policy) -> str:
    """Return the id by which a policy is approved and switched off."""
    return f"payer-{policy.id}"


def finding_of(policy: Policy) -> RuleFinding:
    """Return what a site's checks of rules are asked about a policy: whether its version counts here and is on."""
    return RuleFinding(rule_of(policy), _BAND, "info", is_certain=True, priority=0)
