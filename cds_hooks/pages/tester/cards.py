"""Cards of any server as an EHR draws them, in the way of a dialect; an answer may have any form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup, escape

from cards.card import Card, CardError
from cards.extension import EXTENSION_KEY
from cds_hooks.dialects import ClientProfile, find_dialects, profile_for, shape_cards
from cds_hooks.web.markdown import is_web_address, render_markdown

Json = Mapping[str, Any]

AS_SENT = "sent"
"""The name of the drawing that changes nothing of the answer."""


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


class CannotBeDrawn(ValueError):
    """The cards cannot be shaped in this way; the message says why."""


def drawings() -> list[tuple[str, str]]:
    """Return the ways to draw cards, id and title: as they were sent first."""
    return [
        (AS_SENT, "As sent"),
        *((dialect.id, dialect.title) for dialect in find_dialects().values() if dialect.id != "standard"),
    ]


def draw(cards: Sequence[Any], way: str) -> list[DrawnCard]:
    """Return the cards of an answer in this way.

    Raises:
        CannotBeDrawn: they are not cards of the published form, so that no dialect can shape them.
    """
    if way == AS_SENT or way not in find_dialects():
        return [_drawn(card, None) for card in cards if isinstance(card, dict)]
    profile = profile_for("tester", way)
    try:
        shaped = shape_cards(msgspec.convert(list(cards), list[Card]), profile)
    except (msgspec.ValidationError, CardError) as error:
        raise CannotBeDrawn(f"These cards cannot be drawn in this way: {error}") from error
    return [_drawn(msgspec.to_builtins(card), profile) for card in shaped]


def _drawn(card: Json, profile: ClientProfile | None) -> DrawnCard:
    source = _object(card.get("source"))
    indicator = _text(card.get("indicator"))
    return DrawnCard(
        uuid=_text(card.get("uuid")),
        indicator=indicator if indicator in ("info", "warning", "critical") else "none",
        summary=_text(card.get("summary")),
        detail=_detail(_text(card.get("detail")), profile),
        source=_text(source.get("label")),
        source_url=_address(source.get("url")),
        choices=tuple(_choice(suggestion_json, profile) for suggestion_json in _objects(card.get("suggestions"))),
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


def _detail(text: str, profile: ClientProfile | None) -> Markup:
    if profile is None or profile.markdown != "plain":
        return render_markdown(text)
    lines = (line for line in text.replace("\x00", "").splitlines() if line.strip())
    return Markup("").join(Markup("<p>{}</p>").format(escape(line)) for line in lines)


def _choice(suggestion: Json, profile: ClientProfile | None) -> Choice:
    actions = tuple(action for action in _objects(suggestion.get("actions")))
    described = tuple(filter(None, (_text(action.get("description")) for action in actions)))
    label = _text(suggestion.get("label"))
    sheet = profile.dialect.sheet if profile is not None else None
    if sheet is not None and not sheet.shows_labels:
        label = "; ".join(described) or label
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
