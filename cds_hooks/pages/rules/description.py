"""One medication rule laid out for reading: what it says when, what it rests on, who has approved it here."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from cards.rules.engine.family import family_named
from cards.rules.engine.governance import RuleVersion, SiteRules, all_rule_versions
from cards.rules.language.rule import Evidence, SuggestionTemplate


class BandRow(Struct, frozen=True):
    """One band: when, how severe, what it says and offers, in words."""

    id: str
    indicator: str
    when: str
    says: str
    offers: tuple[str, ...]


class RulePage(Struct, frozen=True):
    """Everything the page of a rule shows."""

    id: str
    title: str
    family: str
    version: str
    checked: str
    reviewed: str
    status: str
    here: str
    differs: str | None
    bands: tuple[BandRow, ...]
    silences: tuple[str, ...]
    evidence: tuple[Evidence, ...]


class RuleEntry(Struct, frozen=True):
    """A rule in a list of rules."""

    id: str
    title: str
    family: str


def rule_entries() -> list[RuleEntry]:
    """Return every rule of the project."""
    return [
        RuleEntry(rule_version.rule.id, rule_version.rule.title, rule_version.table.title)
        for rule_version in all_rule_versions().values()
    ]


def describe_rule(version: RuleVersion, site: SiteRules, *, needs_approval: bool) -> RulePage:
    """Return the facts of a rule; `needs_approval` where there is a trust file."""
    rule, table = version.rule, version.table
    vocabulary = family_named(table.family).vocabulary
    bands = tuple(
        BandRow(band.id, band.indicator, vocabulary.say(band.when), band.summary, _offers(band.suggestions))
        for band in rule.bands
    )
    return RulePage(
        id=rule.id,
        title=rule.title,
        family=table.title,
        version=version.digest,
        checked=f"{rule.audit.verified}: {rule.audit.source}, {rule.audit.date}",
        reviewed=table.reviewed,
        status=table.status,
        here=approval_status(version, site, needs_approval=needs_approval).words,
        differs=rule.audit.differs,
        bands=bands,
        silences=tuple(silence.text for silence in rule.silent_when),
        evidence=rule.evidence,
    )


class ApprovalStatus(Struct, frozen=True):
    """Whether a rule shows cards at a site, and who has approved it."""

    kind: Literal["speaks", "shadow", "off"]
    """As the filter of the list names it."""
    brief: str
    details: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """All of it in one line."""
        return "; ".join((self.brief, *self.details))


def approval_status(version: RuleVersion, site: SiteRules, *, needs_approval: bool) -> ApprovalStatus:
    """Return whether the rule shows cards at this site, and who has approved it."""
    switches = site.switches.get(version.rule.id, ())
    approval = site.approvals.get(version.rule.id)
    if any(switch.off and not switch.clients and not switch.units for switch in switches):
        return ApprovalStatus("off", "switched off")
    partly = ("partly switched off",) if switches else ()
    if approval is not None and approval.digest == version.digest:
        by = f"approved by {approval.by} ({approval.role}) on {approval.on}"
        return ApprovalStatus("speaks", "shows cards", (f"{by}: {approval.note}" if approval.note else by, *partly))
    if not needs_approval:
        brief = "shows cards, as every rule does in the development profile"
        return ApprovalStatus("speaks", brief, ("not approved", *partly))
    brief = "in shadow: judged and counted, not shown, because this version is not approved"
    return ApprovalStatus("shadow", brief, partly)


def _offers(suggestions: Iterable[SuggestionTemplate]) -> tuple[str, ...]:
    return tuple(suggestion.label for suggestion in suggestions)
