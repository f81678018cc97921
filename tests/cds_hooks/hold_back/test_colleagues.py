"""A critical finding rests only for the user who overrode it and for that draft; everybody else is told of it."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.hold_back.checks import OVERRIDDEN_BEFORE
from cds_hooks.replay.replaying import Replayer
from cds_hooks.replay.site import open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.hold_back.restraint_calls import CRITICAL, SIGN, WARNINGS, feedback, indicators, reasons, sign
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.live import record_in

ANN, BEN = "Practitioner/ann", "Practitioner/ben"


async def _override(calls: httpx.AsyncClient, card: dict[str, Any], code: str = "") -> None:
    body = feedback(card, code=code or card["overrideReasons"][0]["code"])
    assert (await calls.post(f"/cds-services/{SIGN}/feedback", json=body)).status_code == 200


def test_a_critical_finding_rests_for_who_overrode_it_and_the_next_reader_is_told(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("5a" * 32)
    settings: dict[str, Any] = {"content_keys": keys}

    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW, **settings) as calls:
            (card,) = (await sign(calls, CRITICAL, user=ANN)).json()["cards"]
            await _override(calls, card)
            again = await sign(calls, CRITICAL, user=ANN)
            assert again.json()["cards"] == []
            assert len(reasons(again, "acknowledged")) == 1
            (told,) = (await sign(calls, CRITICAL, user=BEN)).json()["cards"]
            last = told["detail"].split("\n\n")[-1]
            assert last == f"{OVERRIDDEN_BEFORE} at {NOW:%H:%M} UTC: A reason."
        async with app_client(tmp_path, as_of=NOW, **settings) as calls:  # it is known from the record, too
            (told,) = (await sign(calls, CRITICAL, user=BEN)).json()["cards"]
            assert OVERRIDDEN_BEFORE in told["detail"]
            assert (await sign(calls, CRITICAL, user=ANN)).json()["cards"] == []

    asyncio.run(story())
    use_content_keys(read_content_keys("5a" * 32))
    try:
        url = record_in(tmp_path)
        verdicts = list(Replayer(open_site(Settings(database_url=url, **settings)), url).verdicts(list_decisions(url)))
    finally:
        use_content_keys(read_content_keys(""))
    assert [each.outcome for each in verdicts] == ["same"] * 5


def test_where_no_users_are_recorded_a_critical_finding_never_rests(tmp_path: Path) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW, record_user="none") as calls:
            (card,) = (await sign(calls, CRITICAL)).json()["cards"]
            await _override(calls, card)
            assert indicators(await sign(calls, CRITICAL)) == ["critical"]

    asyncio.run(story())


@pytest.mark.parametrize(("code", "rests"), [("", True), ("patient-ineligible", True), ("a-code-of-nobody", False)])
def test_a_warning_rests_for_everybody_where_the_reason_is_known(tmp_path: Path, code: str, *, rests: bool) -> None:
    async def story() -> None:
        async with app_client(tmp_path, as_of=NOW) as calls:
            (card,) = (await sign(calls, WARNINGS[0], user=ANN)).json()["cards"]
            await _override(calls, card, code)
            assert indicators(await sign(calls, WARNINGS[0], user=BEN)) == ([] if rests else ["warning"])

    asyncio.run(story())
