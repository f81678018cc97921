"""One card of each band of each rule, whole, as a text that can be compared with the source of the rule.

Written by `python -m tests.cards.rules.confirm`; compared by test_pinned.py.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from cards.card import Card
from cards.orders import OrderOutcome
from cards.rules.engine.rule_book import RuleBook, whole_book
from tests.cards.rules.cases import Case, all_cases, check_case
from tests.conftest import ROOT

REVIEWS: Final = ROOT / "tests" / "cases" / "review"
FOLDER: Final = ROOT / "tests" / "cases" / "cards"
AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
# What every draft has: it says nothing about the change.
_ALWAYS: Final = frozenset({"resourceType", "id", "status", "intent", "subject", "authoredOn", "requester"})


@cache
def review_cases() -> list[tuple[str, Case]]:
    """Return the cases of tests/cases/review with the ids of their rules."""
    return [(path.stem, case) for path in sorted(REVIEWS.glob("*.json")) for case in json.loads(path.read_text())]


@cache
def named_cases() -> dict[str, dict[str, Case]]:
    """Return the cases of each rule, those of a review too, by a name that no other case of the rule has."""
    named: dict[str, dict[str, Case]] = {}
    for rule, case in [*all_cases(), *review_cases()]:
        cases = named.setdefault(rule, {})
        name = f"{case['about']}, {case['kind']}: {case['id']}"
        cases[f"{name} ({len(cases)})" if name in cases else name] = case
    return named


@cache
def book_of(rule: str) -> RuleBook:
    """Return the rules of the family of a rule."""
    family = next(known.family.name for known in whole_book().rules if known.id == rule)
    return whole_book().of_families(lambda name: name == family)


def cases_of_bands(rule: str) -> list[Case]:
    """Return the first case of each band that fires."""
    chosen: dict[str, Case] = {}
    for case in named_cases()[rule].values():
        if "silent" not in case:
            chosen.setdefault(case["band"], case)
    return list(chosen.values())


def text_of_rule(rule: str) -> str:
    """Return the pinned text of a rule: a card for each band."""
    cards = [
        f"## {case['band']}: {case['id']}\n{text_of_outcome(check_case(case, AS_OF, book_of(rule)))}"
        for case in cases_of_bands(rule)
    ]
    return "\n".join([f"# {rule}\n", *cards])


def text_of_outcome(outcome: OrderOutcome) -> str:
    """Return everything that a clinician is shown or told is not shown, with the changes that are offered."""
    return "\n".join(line for card in outcome.cards for line in _card(card))


def _card(card: Card) -> Iterator[str]:
    yield f"{card.indicator}: {card.summary}"
    yield from (card.detail or "").splitlines()
    topic = card.source.topic.code if card.source.topic else "no topic"
    url = (card.source.url or "").replace("https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid=", "dailymed:")
    url = "" if f"set {url.removeprefix('dailymed:')[:8]}" in card.source.label else url  # the label names it
    yield f"Source: {card.source.label}{'' if topic == 'order-safety' else f' [{topic}]'} {url}".rstrip()
    for suggestion in card.suggestions:
        yield f"{'* ' if suggestion.is_recommended else '- '}{suggestion.label}"
        for action in suggestion.actions:
            about = f"{action.description} {action.resource_id or ''}"
            yield f"    {action.type}: {'' if action.resource_id == 'MedicationRequest/draft-1' else about}".rstrip(
                ": "
            )
            if action.type != "delete" and action.resource:
                yield from (f"      {line}" for line in _changes(action.resource))
    yield ""


def _changes(resource: dict[str, Any]) -> Iterator[str]:
    """The members of a resource that say what is ordered."""
    yield f"{resource['resourceType']} {resource.get('status', '')} {resource.get('intent', '')}".rstrip()
    for name, value in sorted(resource.items()):
        if name not in _ALWAYS:
            yield f"{name}: {json.dumps(_short(value), ensure_ascii=False, sort_keys=True)}"


def _short(value: Any) -> Any:
    """A value without what every resource of its kind has: a coding is its code, a quantity a number with its unit."""
    if isinstance(value, list):
        return [_short(member) for member in value]
    if not isinstance(value, dict):
        return value
    if "coding" in value:
        return f"{', '.join(str(coding.get('code')) for coding in value['coding'])} {value.get('text', '')}"
    if "value" in value and "unit" in value:
        return f"{value['value']} {value['unit']}"
    return {name: _short(member) for name, member in value.items()}


def file_of(rule: str) -> Path:
    """Return the file with the pinned text of a rule."""
    return FOLDER / f"{rule}.txt"


def rules_with_cases() -> list[str]:
    """Return the rules that have cases."""
    return sorted(named_cases())
