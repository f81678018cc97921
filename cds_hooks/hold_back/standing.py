"""How a rule or a model stands at this site now: one function each, which every page and command uses.

The order of the questions is that of the checks of the chain (`checks.py`, `checks.py`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct, field
from sqlalchemy import select

from cards.compose.model import in_100
from cards.rules.engine.governance import ACKNOWLEDGED, SHADOW, SWITCHED_OFF, RuleVersion, SiteRules, all_rule_versions
from cds_hooks.hold_back.acts import Key, model_subject, rule_subject
from cds_hooks.hold_back.approvals import NEEDED, NOBODY_APPROVES, ApprovalBook
from cds_hooks.hold_back.releases import CANARY, Origin, Releases
from cds_hooks.hold_back.sent_cards import findings_of
from cds_hooks.storage.queries import read_rows, without_trials
from cds_hooks.storage.tables import decisions, feedback
from models_onnx.artifact.release_file import Release, reason_cards_withheld

StateNow = Literal["on", "shadow", "off", "waiting", "refused"]

SIGNS: Final[dict[StateNow, tuple[str, str]]] = {
    "on": ("good", "Shows cards"),
    "shadow": ("none", "In shadow"),
    "off": ("warning", "Off"),
    "waiting": ("warning", "Waiting"),
    "refused": ("critical", "Refused"),
}
"""The mark and the word of each state."""


class Standing(Struct, frozen=True):
    """The state, why in a sentence, since when and by whom ("" where it is not known)."""

    state: StateNow
    text: str
    since: str = ""
    by: str = ""

    @property
    def sign(self) -> tuple[str, str]:
        """The mark and the word of the state."""
        return SIGNS[self.state]

    @property
    def words(self) -> str:
        """All of it in one line."""
        origin = " ".join(filter(None, (f"by {self.by}" if self.by else "", f"on {self.since}" if self.since else "")))
        return f"{self.sign[1].lower()}: {self.text}{f' ({origin})' if origin else ''}"


def rule_standing(
    version: RuleVersion,
    site: SiteRules,
    releases: Releases | None = None,
    book: ApprovalBook | None = None,
    *,
    needs_approval: bool,
) -> Standing:
    """Return how a rule stands; `needs_approval` where there is a trust file, `book` has the approvals then."""
    key = ("rule", version.rule.id)
    acted = _by_act(releases, key) if releases is not None else None
    if acted is not None and acted.state != "on":
        return acted
    switches = site.switches.get(version.rule.id, ())
    for switch in switches:
        if switch.off and not switch.clients and not switch.units:
            return Standing("off", f"switched off in the rules file: {switch.note}")
    partly = "; the rules file switches it off in part" if switches else ""
    approval = site.approvals.get(version.rule.id)
    is_approved = approval is not None and approval.digest == version.digest
    if needs_approval and not is_approved:
        subject = rule_subject(version.rule.id, version.digest)
        given = len(book.approvals("rule", subject)) if book is not None else 0
        was = "only another version of it is approved" if approval is not None else "this version is not approved"
        text = f"{was}; {given} of {NEEDED} approvals{partly}"
        return Standing("waiting", text)
    if acted is not None:
        return acted
    if approval is not None and is_approved:
        by, text = f"{approval.by} ({approval.role})", f"this version is approved{partly}"
        return Standing("on", text, str(approval.on), by)
    return Standing("on", f"not approved, and shown as every rule is in the development profile{partly}")


def model_standing(
    release: Release,
    releases: Releases,
    book: ApprovalBook | None,
    lowest_state: str,
    today: date,
    waiver_faults: Iterable[str] = (),
    *,
    name: str = "",
) -> Standing:
    """Return how a model stands; `book` is None where no approval is needed, `lowest_state` is CDS_MODEL_STATE.

    `waiver_faults` say why waivers of its gates are not in force; `name` is that of a version beside the one in use.
    """
    key = ("model", name or release.id)
    withheld = reason_cards_withheld(release)
    if withheld is not None:
        return Standing("refused", withheld)
    acted = _by_act(releases, key)
    if acted is not None and acted.state != "on":
        return acted
    if book is None and lowest_state == "approved":
        return Standing("waiting", NOBODY_APPROVES)
    if book is not None and lowest_state == "approved":
        missing = book.why_not_approved("model", model_subject(release), today)
        if missing is not None:
            return Standing("waiting", missing)
    for fault in waiver_faults:
        return Standing("waiting", fault)
    if acted is not None:
        return acted
    last = release.history[-1] if release.history else None
    since, by = (last.at[:10], f"{last.by} ({last.role})") if last is not None else ("", "")
    return Standing("on", f"released as {release.state}, no gate is red", since, by)


def _by_act(releases: Releases, key: Key) -> Standing | None:
    """Return how an act, a pause or a rollback left it; None where there was none."""
    state, origin = releases.current.states.get(key), releases.changes.get(key, Origin())
    since = datetime.fromtimestamp(origin.at, UTC).date().isoformat() if origin.at else ""
    if state is not None:
        if state.state in ("off", "retired"):
            words = "switched off" if state.state == "off" else "retired"
            return Standing("off", f"{words}: {state.why}", since, origin.by)
        if state.state == "shadow":
            return Standing("shadow", f"computed and not shown: {state.why}", since, origin.by)
        served = releases.current.versions.get(key, state.version)
        if state.version and state.version != served:
            text = "another version is served than was released"
            return Standing("shadow", text, since, origin.by)
    pauses = [pause for pause in releases.pauses if pause.key == key]
    if pauses and not all(pause.is_proposed for pause in pauses):
        text = f"{'; '.join(pause.words for pause in pauses)}; its warnings and critical cards are shown"
        return Standing("shadow", text, since, origin.by)
    if state is None:
        return None
    share = f"shown to {state.share} in 100 patients" if state.state == CANARY else "shown to everybody"
    return Standing("on", f"{share} by an act: {state.why}", since, origin.by)


# How often each medication rule showed a card and how clinicians answered, counted from the decision record


LEAST_ANSWERS: Final = 20
"""With fewer answers than this the pages name counts and no share."""
_EXAMPLES: Final = 5
_COUNTED: Final = {SHADOW: "shadow", SWITCHED_OFF: "switched_off", ACKNOWLEDGED: "acknowledged"}


class _Basis(Struct):
    silence: list[tuple[str, str, str]] = []


_basis: Final = msgspec.json.Decoder(_Basis)


class RuleCounts(Struct):
    """One rule: how often it was on a card or why it was not, and the answers to these cards.

    `examples` are the newest decisions in which it showed a card.
    """

    spoke: int = 0
    shadow: int = 0
    switched_off: int = 0
    acknowledged: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many cards were answered."""
        return self.accepted + self.overridden

    @property
    def accept_words(self) -> str:
        """The share of answered cards that were accepted, in words; says where there are too few for a share."""
        if not self.answered:
            return "no answer"
        if self.answered < LEAST_ANSWERS:
            return f"{self.accepted} of {self.answered} answers"
        return f"{in_100(self.accepted / self.answered)} in 100 of {self.answered} answers"


class CountedRules(Struct):
    """The rules that the newest decisions are about, by id, and how many decisions were looked at."""

    rules: dict[str, RuleCounts] = field(default_factory=dict)
    calls: int = 0


def count_rules(url: str, limit: int) -> CountedRules:
    """Return what the newest `limit` decisions say of each rule; RecordUnavailable where there is no record."""
    query = select(decisions.c.id, decisions.c.response, decisions.c.basis).where(without_trials(decisions))
    query = query.order_by(decisions.c.sequence.desc())
    counts: defaultdict[str, RuleCounts] = defaultdict(RuleCounts)
    rules_of_card: dict[str, tuple[str, ...]] = {}
    decision_ids = set()
    for row in read_rows(url, query.limit(limit)):
        decision_ids.add(row.id)
        for card, findings in findings_of(row.response).items():
            rules_of_card[card] = tuple(dict.fromkeys(rule for rule, _ in findings))
            for rule in rules_of_card[card]:
                counts[rule].spoke += 1
                if row.id not in counts[rule].examples and len(counts[rule].examples) < _EXAMPLES:
                    counts[rule].examples.append(row.id)
        for subject, reason, _ in _basis.decode(row.basis).silence:
            if (name := _COUNTED.get(reason)) is not None and subject in all_rule_versions():
                setattr(counts[subject], name, getattr(counts[subject], name) + 1)
    columns = (feedback.c.card, feedback.c.decision, feedback.c.outcome, feedback.c.override_reason_code)
    for answer in read_rows(url, select(*columns)):
        for rule in rules_of_card.get(answer.card, ()) if answer.decision in decision_ids else ():
            if answer.outcome == "accepted":
                counts[rule].accepted += 1
            else:
                counts[rule].overridden += 1
                counts[rule].reasons[answer.override_reason_code or "no reason"] += 1
    return CountedRules({rule: counts[rule] for rule in sorted(counts)}, len(decision_ids))
