"""The page of the worklist: which rows it shows, what was just done, its file, and what a form can ask for."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.pages.worklist.views import finding_digest
from cds_hooks.storage.decision import new_decision_id
from tests.cds_hooks.access.browsing import BROWSER, entries
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.pages.worklist.test_worklist_page import a_row, keep
from tests.cds_hooks.services.equation_calls import NOW

FINDING = finding_digest("Lipid panel")


@asynccontextmanager
async def _opened(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Any]]]:
    with kept_values(patch) as values:
        async with client(folder, as_of=NOW) as calls:
            calls.headers.update(BROWSER)
            yield calls, values


async def test_an_empty_list_begins_at_its_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with _opened(tmp_path, monkeypatch) as (calls, values):
        await calls.get("/worklist?start=50")
    assert (values["start"], values["shown"], values["did"]) == (0, (), None)
    assert (values["snoozes"], values["now"]) == ((1, 7, 30), f"{NOW:%Y-%m-%d %H:%M} UTC")
    assert values["title_of"]("mortality_5y") == "Death within 5 years, adults of 40 and over"
    assert values["title_of"]("none") == "none"


async def test_what_was_done_is_named_on_the_page_that_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = a_row("ann")
    keep(tmp_path, ann, a_row("ben"))
    async with _opened(tmp_path, monkeypatch) as (calls, values):
        form = {"decision": ann.id, "finding": FINDING, "act": "snooze", "days": "7", "client": "ehr", "start": "50"}
        answer = await calls.post("/worklist", data=form)
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            f"worklist?client=ehr&start=50&did={FINDING}#list",
        )
        await calls.get(f"/worklist?did={FINDING}")
        assert (values["did"].text, values["did"].until) == ("Lipid panel", f"{(NOW + timedelta(days=7)).date()}")
        assert [line.row.patient for line in values["lists"].off] == ["ann"]
        await calls.get(f"/worklist?did={'0' * 16}")
        assert values["did"] is None
        await calls.get("/worklist")
        assert values["did"] is None
    ((actor, detail),) = entries(tmp_path, "worklist-act")
    assert actor == "anyone"
    assert detail == {"decision": ann.id, "finding": FINDING, "act": "snooze", "until": NOW.timestamp() + 7 * 86_400}


@pytest.mark.parametrize("days", ["-7", "2", "", "x"])
async def test_a_finding_rests_for_one_seven_or_thirty_days(tmp_path: Path, days: str) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "snooze", "days": days}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert answer.status_code == 400
    assert re.search("an entry is snoozed for 1, 7 or 30 days|days: Input should be a valid integer", answer.text)
    assert "Nothing was changed. Open the page again" in answer.text


@pytest.mark.parametrize(
    "wrong", [{"finding": "a" * 15}, {"finding": "a" * 17}, {"finding": "A" * 16}, {"decision": "x"}]
)
async def test_a_form_names_a_finding_by_sixteen_hexadecimal_digits(tmp_path: Path, wrong: dict[str, str]) -> None:
    async with client(tmp_path, as_of=NOW) as calls:
        form = {"decision": new_decision_id(), "finding": FINDING, "act": "done", **wrong}
        answer = await calls.post("/worklist", data=form, headers=BROWSER)
    assert (answer.status_code, f"{next(iter(wrong))}: " in answer.text) == (400, True)
