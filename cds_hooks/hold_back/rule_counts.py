"""How often each medication rule showed a card and how clinicians answered, counted from the decision record."""

from collections import Counter, defaultdict
from typing import Final

import msgspec
from msgspec import Struct, field
from sqlalchemy import select

from cards.compose.model import in_100
from cards.rules.engine.governance import ACKNOWLEDGED, SHADOW, SWITCHED_OFF, all_rule_versions
from cds_hooks.hold_back.sent_cards import findings_of
from cds_hooks.storage.queries import read_rows, without_trials
from cds_hooks.storage.tables import decisions, feedback

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
