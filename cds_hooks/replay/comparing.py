"""Compares what a decision recorded with what was computed again, and names the cause of a difference."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from msgspec import Struct

from cards.extension import EXTENSION_KEY
from cds_hooks.access.links import without_token
from cds_hooks.configuration import Content, differences

_MOST: Final = 12
"""So many differences of one decision are listed; where more differ, the last line says how many."""
_LONGEST: Final = 160
_NAMED: Final = ("model", "rule", "site", "release", "setting")
"""What is named one by one; of tables and code the names follow."""


class Difference(Struct, frozen=True):
    """One place where the record and the replay differ; a value that is not there is None."""

    where: str
    recorded: Any
    replayed: Any

    @property
    def words(self) -> str:
        """The place with both values, shortened."""
        return f"{self.where}: recorded {_short(self.recorded)}, replayed {_short(self.replayed)}"


def differences_in(where: str, recorded: Any, replayed: Any) -> Iterator[Difference]:
    """Yield every place where two JSON values differ; numbers are compared bit for bit."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for name in dict.fromkeys((*recorded, *replayed)):
            text = f"{where}.{name}" if where else str(name)
            yield from differences_in(text, recorded.get(name), replayed.get(name))
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for at in range(max(len(recorded), len(replayed))):
            old = recorded[at] if at < len(recorded) else None
            new = replayed[at] if at < len(replayed) else None
            yield from differences_in(f"{where}[{at}]", old, new)
    elif recorded != replayed:
        yield Difference(where, recorded, replayed)


def response_for_comparison(response: bytes) -> Any:
    """Return the answer without timings, which no two calls share, and the links' signatures, which follow a secret."""
    read = orjson.loads(response)
    read.get("extension", {}).get(EXTENSION_KEY, {}).pop("timings", None)
    for card in read.get("cards") or []:
        for link in card.get("links") or []:
            link["url"] = without_token(link["url"])
    return read


def first_of(differences: Iterator[Difference]) -> tuple[Difference, ...]:
    """Return the first differences, and how many more there are."""
    every = list(differences)
    more = len(every) - _MOST
    return (*every[:_MOST], *([Difference(f"{more} places more", None, None)] if more > 0 else []))


def causes(
    then: Content | None, now: Content, about: Collection[str], recorded_day: datetime, replayed_day: datetime
) -> tuple[str, ...]:
    """Return what was another when the decision was made, in sentences; `about` are the models and rules it mentions.

    Models and rules that it does not mention are left out. Where nothing is another, that is said, too.
    """
    sentences = [] if recorded_day.date() == replayed_day.date() else [_day(recorded_day, replayed_day)]
    if then is None:
        return (*sentences, "the decision names no configuration that is on record, so nothing more can be compared")
    changed: dict[str, list[str]] = {}
    for kind, name, text in differences(then, now):
        if kind in _NAMED and (kind not in ("model", "rule") or name in about):
            sentences.append(text)
        elif kind not in _NAMED:
            changed.setdefault(kind, []).append(name)
    sentences += [f"{kind} changed: {', '.join(names)}" for kind, names in changed.items()]
    return tuple(sentences) or (
        "nothing that is in force has changed: what was remembered then is not all on record, or this is a fault",
    )


def _day(recorded: datetime, replayed: datetime) -> str:
    return f"day: recorded as of {recorded.date()}, replayed as of {replayed.date()}"


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def mentioned(*parts: Mapping[str, Any]) -> set[str]:
    """Return the ids of models and rules that answers mention: of findings, models and reasons for silence."""
    texts: set[str] = set()
    for response in parts:
        for card in response.get("cards") or []:
            extension = card.get("extension", {}).get(EXTENSION_KEY, {})
            texts |= {finding["rule"] for finding in extension.get("findings", [])}
            texts |= {extension["model"]["id"]} if extension.get("model") else set()
        silence = response.get("extension", {}).get(EXTENSION_KEY, {}).get("silence", [])
        texts |= {reason["subject"] if isinstance(reason, dict) else reason[0] for reason in silence}
    return texts
