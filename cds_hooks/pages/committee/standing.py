"""What a committee works with: how each model and rule stands at this site, who has approved it, what can be done."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from msgspec import Struct

from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cds_hooks.access.roles import COMMITTEE
from cds_hooks.hold_back.act_desk import waiver_version
from cds_hooks.hold_back.acts import Act, Key, Kind, Statement, Subject, model_subject, rule_subject, waiver_subject
from cds_hooks.hold_back.approvals import ApprovalBook, why_waiver_is_none
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases, why_not_allowed
from cds_hooks.hold_back.standing import CountedRules, RuleCounts, Standing, count_rules, model_standing, rule_standing
from cds_hooks.pages.kept_run import KeptRun
from cds_hooks.pages.model_files import GateRow
from cds_hooks.settings import ModelState
from cds_hooks.web.visitor import visiting
from models_onnx.artifact.release_file import Release, ReleaseStep

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


class ActForm(Struct, frozen=True):
    """What can be done about one thing: whether to approve this version, and the acts that are possible now.

    `acts` are words and the state, `served` the version that they name: of a model the digest of its file, where
    `version` is that of its release. `by_click`: whether who looks at the page can do it there.
    """

    kind: str
    name: str
    version: str
    approves: bool
    by_click: bool
    acts: tuple[tuple[str, str], ...] = ()
    served: str = ""


class WaiverRow(Struct, frozen=True):
    """A waiver of a gate, and whether it is in force here."""

    gate: str
    reason: str
    until: str
    fault: str | None
    form: ActForm


class Signed(Struct, frozen=True, kw_only=True):
    """Who approved a version, and what was done about it. `missing` says why two people have not; None: they have."""

    now: Standing
    approvals: Sequence[Statement]
    missing: str | None
    steps: Sequence[Act | ReleaseStep]
    form: ActForm


class ModelStanding(Signed, frozen=True, kw_only=True):
    """How a model stands at this site."""

    title: str
    release: Release
    gates: Sequence[GateRow] = ()
    waivers: Sequence[WaiverRow] = ()

    @property
    def gate_words(self) -> str:
        """How many gates passed, and which did not."""
        counts = Counter(row.status for row in self.gates)
        not_passed = [f"{row.title}: {row.status}" for row in self.gates if row.status != "passed"]
        passed = f"{counts['passed']} of {len(self.gates)} passed"
        return f"{passed}; {', '.join(not_passed)}" if not_passed else passed


class RuleStanding(Signed, frozen=True, kw_only=True):
    """How a rule stands at this site, and how often it showed a card among so many calls."""

    counted: RuleCounts
    calls: int


class RuleRow(Struct, frozen=True):
    """A rule in the list."""

    version: RuleVersion
    now: Standing
    counted: RuleCounts


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
        self._url = url
        self._counting = KeptRun[CountedRules]("rule counts", _COUNTED_SECONDS)

    @property
    def is_counting(self) -> bool:
        """Whether the first count of what rules showed is still under way."""
        return self._counting.newest is None

    def counted(self) -> CountedRules:
        """Return how often each rule showed a card, counted beside the calls and kept for five minutes."""
        return self._counting.get(lambda: count_rules(self._url, MOST_CALLS), _WAIT_SECONDS) or CountedRules()

    def model(
        self, name: str, release: Release, title: str, gates: Sequence[GateRow], waivers: Iterable[dict[str, str]]
    ) -> ModelStanding:
        """How a model, or a version beside the one in use (`id@version`), stands."""
        book, today = self._approvals, datetime.now(UTC).date()
        titles = {row.gate: row.title for row in gates}
        waiver_rows = tuple(self._waiver(name, release, waiver, titles, today) for waiver in waivers)
        faults = [row.fault for row in waiver_rows if row.fault is not None]
        now = model_standing(release, self._releases, book, self._lowest_state, today, faults, name=name)
        signed = self._signed(("model", name), "model", model_subject(release), release.digest, release.history)
        return ModelStanding(now=now, title=title, release=release, gates=gates, waivers=waiver_rows, **signed)

    def _waiver(
        self, name: str, release: Release, waiver: dict[str, str], titles: Mapping[str, str], today: date
    ) -> WaiverRow:
        subject = waiver_subject(release.id, release.version, waiver)
        fault = why_waiver_is_none(self._approvals, subject, today) if self._approvals is not None else None
        gate = str(waiver.get("gate", ""))
        form = ActForm("waiver", name, waiver_version(subject), fault is not None, self._by_click)
        return WaiverRow(
            titles.get(gate, gate), str(waiver.get("reason", "")), str(waiver.get("expires", "")), fault, form
        )

    def rule(self, version: RuleVersion) -> RuleStanding:
        """Return the state of a rule, and how often it showed a card."""
        rule, counted = version.rule.id, self.counted()
        signed = self._signed(("rule", rule), "rule", rule_subject(rule, version.digest), version.digest)
        of_rule = counted.rules.get(rule) or RuleCounts()
        return RuleStanding(now=self._now(version), counted=of_rule, calls=counted.calls, **signed)

    def rules(self) -> list[RuleRow]:
        """Return how every rule stands here, those with most cards first."""
        counts, versions = self.counted().rules, all_rule_versions().values()
        rows = [
            RuleRow(version, self._now(version), counts.get(version.rule.id) or RuleCounts()) for version in versions
        ]
        return sorted(rows, key=lambda row: (-row.counted.spoke, row.version.table.title, row.version.rule.title))

    def shows_cards(self, rule: str) -> bool:
        """Whether a rule shows its cards here now."""
        return self._now(all_rule_versions()[rule]).state == "on"

    def _now(self, version: RuleVersion) -> Standing:
        needs_approval = self._approvals is not None
        site = self._governance.site
        return rule_standing(version, site, self._releases, self._approvals, needs_approval=needs_approval)

    def _signed(
        self, key: Key, kind: Kind, subject: Subject, version: str, history: Sequence[ReleaseStep] = ()
    ) -> dict[str, Any]:
        """Return the members of `Signed` but the standing."""
        book, current = self._approvals, self._releases.current
        missing = book.why_not_approved(kind, subject, datetime.now(UTC).date()) if book is not None else None
        possible = (
            (words, state)
            for words, state in ACT_WORDS
            if why_not_allowed(current.states, *key, state, current.paused_keys) is None
        )
        served = self._served.get(key, "")
        return {
            "approvals": book.approvals(kind, subject) if book is not None else [],
            "missing": missing,
            "steps": [*history, *(act for act in self._releases.acts if act.key == key)],
            "form": ActForm(*key, version, missing is not None, self._by_click, tuple(possible), served),
        }

    @property
    def _by_click(self) -> bool:
        visitor = visiting().visitor
        return self._approvals is not None and visitor is not None and not COMMITTEE.isdisjoint(visitor.roles)
