"""How often each medication rule spoke and how clinicians answered, counted from the decision record."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cards.rules.engine.governance import ACKNOWLEDGED, SHADOW, SWITCHED_OFF, all_rule_versions
from cds_hooks.governance.governance import findings_of
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, feedback


class _Basis(Struct):
    silence: list[tuple[str, str, str]] = []


_basis: Final = msgspec.json.Decoder(_Basis)


@dataclass(slots=True)
class RuleCounts:
    """One rule: how often it spoke or why it did not, and the answers to the cards that it stood on."""

    rule: str
    spoke: int = 0
    shadow: int = 0
    switched_off: int = 0
    acknowledged: int = 0
    accepted: int = 0
    overridden: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def count_rules(url: str, limit: int) -> list[RuleCounts]:
    """The rules that the newest `limit` decisions are about, by id; RecordUnavailable where there is no record."""
    query = select(decisions.c.id, decisions.c.response, decisions.c.basis).order_by(decisions.c.sequence.desc())
    counts: dict[str, RuleCounts] = {}
    rules_of_card: dict[str, tuple[str, ...]] = {}
    seen = set()
    for row in read_rows(url, query.limit(limit)):
        seen.add(row.id)
        for card, findings in findings_of(row.response).items():
            rules_of_card[card] = tuple(dict.fromkeys(rule for rule, _ in findings))
            for rule in rules_of_card[card]:
                _of(counts, rule).spoke += 1
        _count_silences(counts, row.basis)
    _count_answers(counts, rules_of_card, url, seen)
    return [counts[rule] for rule in sorted(counts)]


def _count_silences(counts: dict[str, RuleCounts], basis: bytes) -> None:
    for subject, reason, _ in _basis.decode(basis).silence:
        if subject not in all_rule_versions():
            continue
        if reason == SHADOW:
            _of(counts, subject).shadow += 1
        elif reason == SWITCHED_OFF:
            _of(counts, subject).switched_off += 1
        elif reason == ACKNOWLEDGED:
            _of(counts, subject).acknowledged += 1


def _count_answers(
    counts: dict[str, RuleCounts], rules_of_card: dict[str, tuple[str, ...]], url: str, seen: Collection[str]
) -> None:
    columns = (feedback.c.card, feedback.c.decision, feedback.c.outcome, feedback.c.override_reason_code)
    for row in read_rows(url, select(*columns)):
        if row.decision not in seen:
            continue
        for rule in rules_of_card.get(row.card, ()):
            found = _of(counts, rule)
            if row.outcome == "accepted":
                found.accepted += 1
            else:
                found.overridden += 1
                found.reasons[row.override_reason_code or "no reason"] += 1


def _of(counts: dict[str, RuleCounts], rule: str) -> RuleCounts:
    return counts.setdefault(rule, RuleCounts(rule))
