"""What a committee works with: /models and /rules, and how each model and rule stands at this site."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from time import monotonic
from typing import Any, Final

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.access.roles import COMMITTEE
from cds_hooks.hold_back.act_desk import waiver_version
from cds_hooks.hold_back.acts import Act, Key, Kind, Subject, model_subject, rule_subject, waiver_subject
from cds_hooks.hold_back.approvals import ApprovalBook, why_waiver_is_none
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases, why_not_allowed
from cds_hooks.hold_back.standing import CountedRules, RuleCounts, Standing, count_rules, model_standing, rule_standing
from cds_hooks.one_run import OneRun
from cds_hooks.pages.committee.tables import (
    ActForm,
    ApprovalRow,
    ModelStanding,
    RuleRow,
    RuleStanding,
    WaiverRow,
    WantedRules,
    rules_values,
)
from cds_hooks.pages.model_files import GateRow
from cds_hooks.settings import ModelState
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.web.visitor import visiting
from models_onnx.artifact.release_file import Release

MOST_CALLS: Final = 5_000
"""So many of the newest calls are counted: reading them takes a second or two, beside the calls."""
ACT_WORDS: Final = (
    ("Switch it off, at once", "off"),
    ("Switch it on again", "on"),
    ("Compute and count it, show nothing", "shadow"),
    ("Show it to a share of the patients, after shadow", "canary"),
    ("Show it to everybody, after that", "active"),
    ("Take it out of use", "retired"),
)
"""What can be done about something, and the state that follows."""
_COUNTED_SECONDS: Final = 300.0
_WAIT_SECONDS: Final = 1.5


class RuleUse:
    """How often each rule showed a card, counted beside the calls and kept for five minutes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._counting = OneRun("rule counts")
        self._counted_at: float | None = None
        self.counted = CountedRules()

    @property
    def is_counting(self) -> bool:
        """Whether the first count is still under way."""
        return self._counted_at is None

    def of_rule(self, rule: str) -> RuleCounts:
        """Return the counts of this rule; zeros where it was never met."""
        return self.counted.rules.get(rule) or RuleCounts()

    def refresh(self) -> None:
        """Count anew where the last count is old; wait a moment for it."""
        is_old = self._counted_at is None or monotonic() - self._counted_at > _COUNTED_SECONDS
        if is_old:
            self._counting.begin(self._count).join(_WAIT_SECONDS)

    def _count(self) -> None:
        with suppress(RecordUnavailable):  # the pages say that nothing was counted
            self.counted = count_rules(self._url, MOST_CALLS)
            self._counted_at = monotonic()


class Committee:
    """How models and rules stand, from files and record."""

    def __init__(
        self,
        url: str,
        governance: Governance,
        approvals: ApprovalBook | None,
        releases: Releases,
        lowest_state: ModelState,
        served: Mapping[Key, str],
    ) -> None:
        """`approvals` is None in the development profile; `served` are the versions that this server has."""
        self._lowest_state = lowest_state
        self._governance = governance
        self._approvals = approvals
        self._releases = releases
        self._served = served
        self._use = RuleUse(url)

    def model(
        self, name: str, release: Release, title: str, gates: Iterable[GateRow], waivers: Iterable[dict[str, str]]
    ) -> ModelStanding:
        """How a model, or a version beside the one in use (`id@version`), stands."""
        book, today = self._approvals, datetime.now(UTC).date()
        subject = model_subject(release)
        missing = book.why_not_approved("model", subject, today) if book is not None else None
        gates = tuple(gates)
        titles = {row.gate: row.title for row in gates}
        waiver_rows = tuple(self._waiver(name, release, waiver, titles, today) for waiver in waivers)
        faults = [row.fault for row in waiver_rows if row.fault is not None]
        return ModelStanding(
            release.id,
            title,
            release.version,
            release.state,
            model_standing(release, self._releases, book, self._lowest_state, today, faults, name=name),
            gates,
            waiver_rows,
            self._approval_rows("model", subject),
            missing,
            (*release.history, *self._acts("model", name)),
            self._form(("model", name), release.digest, approves=missing is not None),
        )

    def _waiver(
        self, name: str, release: Release, waiver: dict[str, str], titles: Mapping[str, str], today: date
    ) -> WaiverRow:
        subject = waiver_subject(release.id, release.version, waiver)
        fault = why_waiver_is_none(self._approvals, subject, today) if self._approvals is not None else None
        return WaiverRow(
            titles.get(str(waiver.get("gate", "")), str(waiver.get("gate", ""))),
            str(waiver.get("reason", "")),
            str(waiver.get("expires", "")),
            fault,
            ActForm("waiver", name, waiver_version(subject), fault is not None, self._by_click),
        )

    def rule(self, version: RuleVersion) -> RuleStanding:
        """Return the state of a rule, and how often it showed a card."""
        self._use.refresh()
        rule, book = version.rule.id, self._approvals
        subject = rule_subject(rule, version.digest)
        missing = book.why_not_approved("rule", subject, datetime.now(UTC).date()) if book is not None else None
        return RuleStanding(
            self._now(version),
            self._use.of_rule(rule),
            self._use.counted.calls,
            self._approval_rows("rule", subject),
            missing,
            self._acts("rule", rule),
            self._form(("rule", rule), version.digest, approves=missing is not None),
        )

    def rules(self, wanted: WantedRules) -> dict[str, Any]:
        """Return what the template shows of the rules that they are narrowed to, those with most cards first."""
        self._use.refresh()
        rows = [self.row(version) for version in all_rule_versions().values()]
        families = sorted({row.family for row in rows})
        shown_rows = [row for row in rows if _fits(row, wanted)]
        shown_rows.sort(key=lambda row: (-row.counted.spoke, row.family, row.title))
        return rules_values(shown_rows, families, wanted, self._use.counted.calls, self._use.is_counting)

    def refresh(self) -> int:
        """Count anew where the last count is old; return how many calls were counted."""
        self._use.refresh()
        return self._use.counted.calls

    def shows_cards(self, rule: str) -> bool:
        """Whether a rule shows its cards here now."""
        return self._now(all_rule_versions()[rule]).state == "on"

    def _now(self, version: RuleVersion) -> Standing:
        needs_approval = self._approvals is not None
        site = self._governance.site
        return rule_standing(version, site, self._releases, self._approvals, needs_approval=needs_approval)

    def row(self, version: RuleVersion) -> RuleRow:
        """How a rule stands here, and what was counted of it the last time."""
        rule = version.rule
        counted = self._use.of_rule(rule.id)
        return RuleRow(rule.id, rule.title, version.table.title, version.digest, self._now(version), counted)

    def _acts(self, kind: str, name: str) -> tuple[Act, ...]:
        return tuple(act for act in self._releases.acts if (act.kind, act.name) == (kind, name))

    def _approval_rows(self, kind: Kind, subject: Subject) -> tuple[ApprovalRow, ...]:
        approvals = self._approvals.approvals(kind, subject) if self._approvals is not None else []
        return tuple(ApprovalRow(given.by, given.role, given.at[:10], given.note) for given in approvals)

    def _form(self, key: Key, version: str, *, approves: bool) -> ActForm:
        """Return what can be done about this rule or model now."""
        current = self._releases.current
        acts = [
            (words, state)
            for words, state in ACT_WORDS
            if why_not_allowed(current.states, *key, state, current.paused_keys) is None
        ]
        return ActForm(*key, version, approves, self._by_click, tuple(acts), self._served.get(key, ""))

    @property
    def _by_click(self) -> bool:
        visitor = visiting().visitor
        return self._approvals is not None and visitor is not None and not COMMITTEE.isdisjoint(visitor.roles)


def _fits(row: RuleRow, wanted: WantedRules) -> bool:
    words = wanted.what.strip().casefold()
    return (
        (not wanted.family or row.family == wanted.family)
        and (not wanted.kind or row.now.state == wanted.kind)
        and words in f"{row.title} {row.id}".casefold()
    )
