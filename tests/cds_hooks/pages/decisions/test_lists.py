"""Lists of decisions: how far they go, from where they go on, and what stands beside one decision."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from cds_hooks.monitor.postings import Budget
from cds_hooks.pages.count_keeper import Counted
from cds_hooks.pages.decisions import search, views
from cds_hooks.pages.decisions.search import Listing, list_rows, read_asked
from cds_hooks.pages.explain.views import _outcome, _patient_rows
from cds_hooks.storage.queries import FoundDecision
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.storage.samples import a_decision, store

NINE = 1_795_165_200_000_000  # 2026-11-20 09:00:00 UTC
SECOND = 1_000_000
FORM = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
Json = dict[str, Any]
Calls = httpx.AsyncClient


def _record(folder: Path) -> str:
    return f"sqlite:///{folder}/decisions.sqlite3"


def _visit(folder: Path, patch: pytest.MonkeyPatch, story: Callable[[Calls, Json], Awaitable[None]]) -> None:
    async def visit() -> None:
        with kept_values(patch) as values:
            async with client(folder, counts_file=folder / "counts.sqlite3") as calls:
                await story(calls, values)

    asyncio.run(visit())


def _ids(listing: Listing) -> list[str]:
    return [row.decision.id for row in listing.rows]


def test_a_list_has_the_newest_and_says_from_where_it_goes_on(tmp_path: Path) -> None:
    url = _record(tmp_path)
    given = store(url, *(a_decision(decided_at=NINE + number * SECOND) for number in range(5)))
    newest = [decision.id for decision in reversed(given)]
    first = list_rows(url, read_asked({}), Counted(None), 2)
    assert (_ids(first), first.before, first.looked_to) == (newest[:2], f"{NINE + 3 * SECOND}.4", "")
    assert [row.time for row in first.rows] == ["2026-11-20 09:00:04 UTC", "2026-11-20 09:00:03 UTC"]
    second = list_rows(url, read_asked({"before": first.before}), Counted(None), 2)
    assert (_ids(second), second.before) == (newest[2:4], f"{NINE + SECOND}.2")
    third = list_rows(url, read_asked({"before": second.before}), Counted(None), 2)
    assert (_ids(third), third.before, third.looked_to) == (newest[4:], "", "")
    whole = list_rows(url, read_asked({}), Counted(None), 5)
    assert (len(whole.rows), whole.before) == (5, "")


def test_a_list_has_twenty_rows_unless_more_are_asked_for(tmp_path: Path) -> None:
    url = _record(tmp_path)
    store(url, *(a_decision() for _ in range(21)))
    assert len(list_rows(url, read_asked({}), Counted(None)).rows) == 20
    assert len(list_rows(url, read_asked({}), Counted(None), 21).rows) == 21


@pytest.mark.parametrize(
    ("places", "looked_to", "before"),
    [(2_000, "", ""), (2_001, "2026-11-20 09:33:20 UTC", f"{NINE + 2_000 * SECOND}.1")],
)
def test_two_thousand_places_of_the_book_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, places: int, looked_to: str, before: str
) -> None:
    def find(url: str, book: Any, wanted: Any, start: Any, budget: Budget, at_once: int) -> Iterator[FoundDecision]:
        assert at_once == 200
        for number in range(1, places + 1):
            if not budget.spend((NINE + number * SECOND, 1)):
                return
        yield from ()

    monkeypatch.setattr(search, "find", find)
    listing = list_rows("anywhere", read_asked({"rule": "x"}), Counted(None))
    assert (listing.rows, listing.looked_to, listing.before) == ((), looked_to, before)


def test_what_is_beside_a_decision_is_of_the_same_call_and_at_most_twenty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = "11111111-2222-3333-4444-555555555555"
    given = store(
        _record(tmp_path),
        *(a_decision(decided_at=NINE + number * SECOND, hook_instance=call) for number in range(23)),
        a_decision(hook_instance=""),
        a_decision(hook_instance=""),
        a_decision(),
    )
    newest = [decision.id for decision in reversed(given[:23])]

    async def story(calls: Calls, values: Json) -> None:
        async def beside(number: int) -> list[str]:
            answer = await calls.get(f"/decisions/{given[number].id}", headers=BROWSER)
            assert (answer.status_code, values["template"]) == (200, "decisions/decision.html")
            assert values["replay"] is None
            return [row.decision.id for row in values["beside"]]

        assert await beside(22) == newest[1:21]
        assert await beside(0) == newest[:21]
        assert await beside(23) == []
        assert await beside(25) == []
        for other in ("none", "11111111-2222-3333-4444-555555555555"):
            missing = await calls.get(f"/decisions/{other}", headers=BROWSER)
            assert missing.status_code == 404
            assert (
                "There is no decision of this id in the record. It may have been taken out by a retention run."
                in missing.text
            )

    _visit(tmp_path, monkeypatch, story)


def test_a_file_has_a_thousand_rows_and_a_page_what_the_form_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(_record(tmp_path), a_decision(client="one"), a_decision(client="two"))
    asked: list[tuple[int, ...]] = []

    def listed(url: str, form: Any, counted: Counted, *most: int) -> Listing:
        asked.append(most)
        return list_rows(url, form, counted, *most)

    monkeypatch.setattr(views, "list_rows", listed)

    async def story(calls: Calls, values: Json) -> None:
        page = await calls.get("/decisions", params={"client": "one"}, headers=BROWSER)
        assert (page.status_code, values["template"]) == (200, "decisions/decisions.html")
        assert [row.decision.client for row in values["found"].rows] == ["one"]
        assert values["most_in_file"] == 1_000
        assert values["services"] == sorted(values["services"])
        assert "order-safety" in values["services"]
        assert list(values["choices"]) == ["outcome", "severity", "answer"]
        refused = await calls.get("/decisions", params={"client": "two", "file": "1"}, headers=BROWSER)
        assert (refused.status_code, "never asked for in an address" in refused.text) == (400, True)
        file = await calls.post("/decisions", data={"client": "two", "file": "1"}, headers=FORM)
        assert file.headers["content-type"] == "text/csv; charset=utf-8"
        head, line = file.text.splitlines()
        assert head == "time,decision,service,hook,client,patient,outcome,mark,texts,answers"
        assert line.split(",")[2:5] == ["planning", "patient-view", "two"]
        bad = await calls.get("/decisions", params={"outcome": "other"}, headers=BROWSER)
        assert (bad.status_code, values["found"]) == (400, None)

    _visit(tmp_path, monkeypatch, story)
    assert asked == [(), (1_000,)]


def _with(cards: list[Json], silence: Any = (), outcome: str = "cards") -> Any:
    basis = {"as_of": "2026-11-20T09:00:00Z", "silence": silence}
    return a_decision(
        decided_at=NINE,
        response=orjson.dumps({"cards": cards}),
        basis=orjson.dumps(basis),
        outcome=outcome,
        service="planning",
    )


CARD = {"summary": "x", "indicator": "info", "source": {"label": "s"}}


def test_the_answers_about_a_patient_are_in_a_few_words() -> None:
    assert _outcome(_with([CARD])) == "1 card"
    assert _outcome(_with([CARD, CARD])) == "2 cards"
    refused = _with([], [["planning", "refused", "The chart was too large."]], "error")
    assert _outcome(refused) == "no answer: the call was refused"
    silent = _outcome(_with([], [["planning", "budget", "Held."]], "silent"))
    assert silent.startswith("no card: ")
    assert silent == silent.lower()
    decision = _with([CARD])
    rows = [
        {"id": decision.id, "when": "2026-11-20 09:00 UTC", "title": "planning", "outcome": "1 card"},
        {"id": decision.id, "when": "2026-11-20 09:00 UTC", "title": "A title", "outcome": "1 card"},
    ]
    assert _patient_rows([decision], {}) + _patient_rows([decision], {"planning": "A title"}) == rows
