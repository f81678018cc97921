"""Cards of any server as an EHR draws them; an answer may have any form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cards.extension import EXTENSION_KEY
from cds_hooks.web.markdown import is_web_address, render_markdown

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """A suggestion: what the button says, and what it would do."""

    uuid: str
    label: str
    advised: bool
    actions: tuple[Any, ...]
    described: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason to override that the card offers; `coding` is what feedback repeats."""

    words: str
    coding: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CardLink:
    """A link; `url` is "" where a browser is not sent there, such as to a SMART app without its launch."""

    label: str
    url: str
    kind: str


@dataclass(frozen=True, slots=True)
class Why:
    """What the card rests on, as our extension says it: rules with their bands, facts with their dates and sources."""

    rules: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()
    model: str = ""

    def __bool__(self) -> bool:
        return bool(self.rules or self.facts or self.model)


@dataclass(frozen=True, slots=True)
class DrawnCard:
    """One card as it is drawn."""

    uuid: str
    indicator: str
    summary: str
    detail: Markup
    source: str
    source_url: str
    choices: tuple[Choice, ...]
    reasons: tuple[Reason, ...]
    links: tuple[CardLink, ...]
    why: Why


def draw(cards: Sequence[Any]) -> list[DrawnCard]:
    """Return the cards of an answer, as far as they have the form of cards."""
    return [_drawn(card) for card in cards if isinstance(card, dict)]


def _drawn(card: Json) -> DrawnCard:
    source = _object(card.get("source"))
    indicator = _text(card.get("indicator"))
    return DrawnCard(
        uuid=_text(card.get("uuid")),
        indicator=indicator if indicator in ("info", "warning", "critical") else "none",
        summary=_text(card.get("summary")),
        detail=render_markdown(_text(card.get("detail"))),
        source=_text(source.get("label")),
        source_url=_address(source.get("url")),
        choices=tuple(_choice(suggestion_json) for suggestion_json in _objects(card.get("suggestions"))),
        reasons=tuple(
            Reason(_text(reason.get("display")) or _text(reason.get("code")), dict(reason))
            for reason in _objects(card.get("overrideReasons"))
        ),
        links=tuple(
            CardLink(
                _text(link.get("label")) or _text(link.get("url")),
                _address(link.get("url")) if link.get("type") == "absolute" else "",
                _text(link.get("type")),
            )
            for link in _objects(card.get("links"))
        ),
        why=_why(_object(_object(card.get("extension")).get(EXTENSION_KEY))),
    )


def _choice(suggestion: Json) -> Choice:
    actions = tuple(action for action in _objects(suggestion.get("actions")))
    described = tuple(filter(None, (_text(action.get("description")) for action in actions)))
    label = _text(suggestion.get("label"))
    return Choice(_text(suggestion.get("uuid")), label, suggestion.get("isRecommended") is True, actions, described)


def _why(ours: Json) -> Why:
    facts = []
    for fact in _objects(ours.get("facts")):
        value = " ".join(_text(fact.get(name)) for name in ("value", "unit")).strip()
        words = _text(fact.get("text")) or f"{_text(fact.get('name')).replace('_', ' ')} {value}".strip()
        facts.append((words, _text(fact.get("effective"))[:10], _text(fact.get("source"))))
    rules = tuple(
        (_text(finding.get("rule")), _text(finding.get("band"))) for finding in _objects(ours.get("findings"))
    )
    return Why(rules, tuple(facts), _text(_object(ours.get("model")).get("id")))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, dict | list) else str(value)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _address(value: Any) -> str:
    return value if isinstance(value, str) and is_web_address(value) else ""
