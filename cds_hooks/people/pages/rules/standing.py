"""What a committee works with: how each model and rule stands at this site, who has approved it, what can be done."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from msgspec import Struct, field

from cards.compose.model import in_100
from cards.rules.engine.governance import SHADOW, RuleVersion, all_rule_versions
from cds_hooks.call.hold_back.released import Key
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.people.access.roles import COMMITTEE
from cds_hooks.people.governance.act_desk import waiver_version
from cds_hooks.people.governance.acts import Act, Kind, Statement, Subject, model_subject, rule_subject, waiver_subject
from cds_hooks.people.governance.approvals import ApprovalBook, why_waiver_is_none
from cds_hooks.people.governance.releases import Releases, why_not_allowed
from cds_hooks.people.governance.standing import Standing, model_standing, rule_standing
from cds_hooks.people.pages.model_files import GateRow
from cds_hooks.people.web.visitor import visiting
from cds_hooks.settings import ModelState
from models_onnx.artifact.release_file import Release, ReleaseStep

COUNTED_DAYS: Final = 30
LEAST_ANSWERS: Final = 20
"""With fewer answers than this the pages name counts and no share."""
ACT_WORDS: Final = (
    ("Switch it off, at once", "off"),
    ("Switch it on again", "on"),
    ("Compute and count it, show nothing", "shadow"),
    ("Show it to a share of the patients, after shadow", "canary"),
    ("Show it to everybody, after that", "active"),
    ("Take it out of use", "retired"),
)
"""What can be done about something, and the state that follows."""


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


class RuleCounts(Struct):
    """One rule: in how many calls it was on a card or in shadow, and the answers to its cards."""

    spoke: int = 0
    shadow: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def accept_words(self) -> str:
        """The share of answered cards that were accepted, in words; says where there are too few for a share."""
        answered = self.accepted + self.overridden
        if not answered:
            return "no answer"
        if answered < LEAST_ANSWERS:
            return f"{self.accepted} of {answered} answers"
        return f"{in_100(self.accepted / answered)} in 100 of {answered} answers"


def count_rules(book: CountBook, until: date) -> dict[str, RuleCounts]:
    """Return what the calls of the last days say of each rule.

    Raises:
        RecordUnavailable: The book cannot be read.
    """
    counts: defaultdict[str, RuleCounts] = defaultdict(RuleCounts)
    first = until - timedelta(days=COUNTED_DAYS - 1)
    for _, kind, name, n in book.totals(("rule", "silence", "answer", "reason"), first, until, "''"):
        rule, _, what = name.partition(" ")
        of_rule = counts[rule]
        if kind == "rule":
            of_rule.spoke += n
        elif kind == "silence":
            of_rule.shadow += n if what == SHADOW else 0
        elif kind == "reason":
            of_rule.reasons[what] += n
        elif what == "accepted":
            of_rule.accepted += n
        else:
            of_rule.overridden += n
    return counts


class RuleStanding(Signed, frozen=True, kw_only=True):
    """How a rule stands at this site, and how often it showed a card in the last days."""

    counted: RuleCounts


class RuleRow(Struct, frozen=True):
    """A rule in the list."""

    version: RuleVersion
    now: Standing
    counted: RuleCounts


@dataclass(frozen=True, slots=True)
class Committee:
    """How models and rules stand, from files and record.

    `book` gives the counts of the record, None where they cannot be used; `approvals` is None in the development
    profile; `served` are the versions that this server has.
    """

    book: Callable[[], CountBook | None]
    restraint: Restraint
    approvals: ApprovalBook | None
    releases: Releases
    lowest_state: ModelState
    served: Mapping[Key, str]

    def model(
        self, name: str, release: Release, title: str, gates: Sequence[GateRow], waivers: Iterable[dict[str, str]]
    ) -> ModelStanding:
        """How a model, or a version beside the one in use (`id@version`), stands."""
        book, today = self.approvals, datetime.now(UTC).date()
        titles = {row.gate: row.title for row in gates}
        waiver_rows = tuple(self._waiver(name, release, waiver, titles, today) for waiver in waivers)
        faults = [row.fault for row in waiver_rows if row.fault is not None]
        now = model_standing(release, self.releases, book, self.lowest_state, today, faults, name=name)
        signed = self._signed(("model", name), "model", model_subject(release), release.digest, release.history)
        return ModelStanding(now=now, title=title, release=release, gates=gates, waivers=waiver_rows, **signed)

    def _waiver(
        self, name: str, release: Release, waiver: dict[str, str], titles: Mapping[str, str], today: date
    ) -> WaiverRow:
        subject = waiver_subject(release.id, release.version, waiver)
        fault = why_waiver_is_none(self.approvals, subject, today) if self.approvals is not None else None
        gate = str(waiver.get("gate", ""))
        form = ActForm("waiver", name, waiver_version(subject), fault is not None, self._by_click)
        return WaiverRow(
            titles.get(gate, gate), str(waiver.get("reason", "")), str(waiver.get("expires", "")), fault, form
        )

    def rule(self, version: RuleVersion) -> RuleStanding:
        """Return the state of a rule, and how often it showed a card."""
        rule = version.rule.id
        signed = self._signed(("rule", rule), "rule", rule_subject(rule, version.digest), version.digest)
        return RuleStanding(now=self._now(version), counted=self._counts().get(rule) or RuleCounts(), **signed)

    def rules(self) -> list[RuleRow]:
        """Return how every rule stands here, those with most cards first."""
        counts, versions = self._counts(), all_rule_versions().values()
        rows = [
            RuleRow(version, self._now(version), counts.get(version.rule.id) or RuleCounts()) for version in versions
        ]
        return sorted(rows, key=lambda row: (-row.counted.spoke, row.version.table.title, row.version.rule.title))

    def _counts(self) -> Mapping[str, RuleCounts]:
        book = self.book()
        return count_rules(book, datetime.now(UTC).date()) if book is not None else {}

    def shows_cards(self, rule: str) -> bool:
        """Whether a rule shows its cards here now."""
        return self._now(all_rule_versions()[rule]).state == "on"

    def _now(self, version: RuleVersion) -> Standing:
        book, site = self.approvals, self.restraint.site
        return rule_standing(version, site, self.releases, book, needs_approval=book is not None)

    def _signed(
        self, key: Key, kind: Kind, subject: Subject, version: str, history: Sequence[ReleaseStep] = ()
    ) -> dict[str, Any]:
        """Return the members of `Signed` but the standing."""
        book, current = self.approvals, self.releases.current
        missing = book.why_not_approved(kind, subject, datetime.now(UTC).date()) if book is not None else None
        possible = (
            (words, state) for words, state in ACT_WORDS if why_not_allowed(current.states, *key, state) is None
        )
        served = self.served.get(key, "")
        return {
            "approvals": book.approvals(kind, subject) if book is not None else [],
            "missing": missing,
            "steps": [*history, *(act for act in self.releases.acts if act.key == key)],
            "form": ActForm(*key, version, missing is not None, self._by_click, tuple(possible), served),
        }

    @property
    def _by_click(self) -> bool:
        visitor = visiting().visitor
        return self.approvals is not None and visitor is not None and not COMMITTEE.isdisjoint(visitor.roles)
