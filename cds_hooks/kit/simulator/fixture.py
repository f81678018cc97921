"""A hook call kept as a file, with the day it was made and what was answered, to be sent again later.

The tester's page saves one, `cds-hooks call FILE` and tests replay it. When it is replayed its dates are moved by whole
days, birth dates too, so that the day it was made is today; cards are compared without their dates.
"""

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cds_hooks.kit.simulator.chart import ChartError, move_dates, read_json

MEMBER: Final = "cdsHooksFixture"
"""The member by which a fixture is known; its value is the version of the form."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Fixture:
    """One call: the service by the id that discovery lists, the request, and the answer's status and cards.

    `cards` are indicator and summary of each, None where the answer held no list of cards.
    """

    service: str
    made_at: datetime
    request: dict[str, Any]
    status: int
    cards: list[tuple[str, str]] | None

    @property
    def hook(self) -> str:
        """The hook of the request."""
        return str(self.request.get("hook") or "")

    def at(self, now: datetime) -> "Fixture":
        """Return the same call as of `now`: its dates moved, with a hookInstance of its own."""
        days = (now.date() - self.made_at.date()).days
        moved = move_dates(self.request, days) if days else self.request
        return replace(self, request=moved | {"hookInstance": str(uuid4())}, made_at=now)

    def differences(self, status: int, answer: Any) -> list[str]:
        """Return a sentence for each way in which another answer differs from the saved one."""
        sentences = [] if status == self.status else [f"The status is {status}; it was {self.status}."]
        saved, returned = _without_dates(self.cards), _without_dates(cards_of(answer))
        if saved is None or returned is None:
            return sentences if saved == returned else [*sentences, "One of the two answers has no list of cards."]
        sentences += [f"A card is gone: {', '.join(card)}" for card in saved if card not in returned]
        return sentences + [f"A card is new: {', '.join(card)}" for card in returned if card not in saved]


def cards_of(answer: Any) -> list[tuple[str, str]] | None:
    """Indicator and summary of every card of an answer; None where it has no list of cards."""
    cards = answer.get("cards") if isinstance(answer, dict) else None
    if not isinstance(cards, list):
        return None
    return [(str(card.get("indicator")), str(card.get("summary"))) for card in cards if isinstance(card, dict)]


def _without_dates(cards: list[tuple[str, str]] | None) -> list[tuple[str, str]] | None:
    return cards if cards is None else [(indicator, _DATE.sub("(date)", summary)) for indicator, summary in cards]


def write_fixture(fixture: Fixture) -> bytes:
    """Return the file, as JSON that a person can read and edit."""
    document = {
        MEMBER: 1,
        "service": fixture.service,
        "madeAt": fixture.made_at.isoformat(timespec="seconds"),
        "request": fixture.request,
        "expected": {
            "status": fixture.status,
            "cards": None
            if fixture.cards is None
            else [{"indicator": indicator, "summary": summary} for indicator, summary in fixture.cards],
        },
    }
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n".encode()


def open_fixture(path: Path) -> Fixture | None:
    """Return the fixture in a file; None where the file is something else, or none at all.

    Raises:
        ChartError: it is a fixture, and a part of it is missing.
    """
    if not path.is_file():
        return None
    document = read_json(path)
    return fixture_of(document, path.name) if MEMBER in document else None


def fixture_of(document: dict[str, Any], name: str) -> Fixture:
    """Return the fixture that this JSON is; `name` is for the message.

    Raises:
        ChartError: a part of it is missing or of another form.
    """
    try:
        expected, made_at = document["expected"], datetime.fromisoformat(document["madeAt"])
        request, service, status = document["request"], document["service"], expected["status"]
        cards = None if expected["cards"] is None else cards_of(expected)
    except (KeyError, TypeError, ValueError) as error:
        raise ChartError(f"{name} is a saved call, but a part of it is missing ({error}); save it again") from error
    if not isinstance(request, dict) or not isinstance(service, str) or not isinstance(status, int):
        raise ChartError(
            f"{name} is a saved call, but its request, service or status is of another form; save it again"
        )
    made_at = made_at if made_at.tzinfo is not None else made_at.replace(tzinfo=UTC)
    return Fixture(service, made_at, request, status, cards)
