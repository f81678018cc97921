"""Sample patients through every service once: the answers that the rows on cards are held against.

Every second call is made here; the contract kit holds the rows against all of them in the slow tier
(tests/cds_hooks/tools/kit/contract/test_own_server.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import httpx
import pytest

from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for
from tests.conformance.outside import Json, Outside, strict

# For tests that open servers with settings of their own: the slow tier asks them about every sample at every hook.
WITH_EVERY_HOOK = pytest.mark.parametrize(
    "hooks",
    [("order-sign", "encounter-discharge"), pytest.param((), marks=pytest.mark.slow)],
    ids=["hooks with many suggestions", "every hook"],
)

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Answered:
    """One call and its answer."""

    about: str
    entry: Json
    request: Json
    response: httpx.Response

    @property
    def document(self) -> Json:
        """The answer's JSON."""
        return strict(self.response.content)


@dataclass(frozen=True)
class Answers:
    """All calls with their answers."""

    all: tuple[Answered, ...]

    @property
    def cards(self) -> list[tuple[str, Json]]:
        """Every card with a word on where it is from."""
        return [(each.about, card) for each in self.all for card in each.document["cards"]]

    @property
    def suggestions(self) -> list[tuple[str, Json]]:
        """Every suggestion."""
        return [(about, each) for about, card in self.cards for each in card.get("suggestions", ())]

    @property
    def actions(self) -> list[tuple[str, Json]]:
        """Every action."""
        return [(about, each) for about, suggestion in self.suggestions for each in suggestion.get("actions", ())]

    @property
    def links(self) -> list[tuple[str, Json]]:
        """Every link."""
        return [(about, each) for about, card in self.cards for each in card.get("links", ())]

    @property
    def override_reasons(self) -> list[tuple[str, Json]]:
        """Every override reason."""
        return [(about, each) for about, card in self.cards for each in card.get("overrideReasons", ())]

    def of(self, hook: str) -> list[Answered]:
        """The answers to one hook."""
        return [each for each in self.all if each.entry["hook"] == hook]


def requests_of(entries: list[Json]) -> list[tuple[str, Json, Json]]:
    """A word, the entry and the request for every sample patient, order and discovery entry that go together.

    Most servers list the same services, so the requests are built once for each list.
    """
    return _requests_of(json.dumps(entries))


@cache
def _requests_of(entries: str) -> list[tuple[str, Json, Json]]:
    return list(_built(json.loads(entries)))


def _built(entries: list[Json]) -> Iterator[tuple[str, Json, Json]]:
    for sample in list_samples():
        chart = Chart(resources_of(load_patient(sample.id, AS_OF)))
        for entry in entries:
            for draft in [order.draft for order in sample.orders] if entry["hook"].startswith("order") else [None]:
                drafts = drafts_for(chart, resources_of(load_draft(draft, AS_OF))) if draft else []
                try:
                    request = build_request(entry, chart, drafts)
                except ChartError:
                    continue  # a hook that this chart has nothing for
                yield f"{entry['id']} {entry['hook']} {sample.id} {draft or ''}".strip(), entry, request


def answers_of(server: Outside, *hooks: str) -> Answers:
    """What the server says to half of them, or to a third of those of these hooks."""
    found = []
    entries = [entry for entry in server.discovery() if not hooks or entry["hook"] in hooks]
    for about, entry, request in requests_of(entries)[:: 3 if hooks else 2]:
        response = server.call(entry["id"], request)
        assert response.status_code == 200, f"{about}: {response.text}"
        found.append(Answered(about, entry, request, response))
    return Answers(tuple(found))


def wrong(found: list[tuple[str, Json]], is_right: object) -> list[str]:
    """What of the found is not right: a list to be compared with the empty one."""
    assert callable(is_right)
    assert found, "there is nothing to look at"
    return [f"{about}: {each}" for about, each in found if not is_right(each)]
