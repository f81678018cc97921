"""The lists that follow from clinicians' reasons, from real answers to real cards of a server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from cds_hooks.cli import app
from cds_hooks.monitor.judging import reviewed
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.hold_back.restraint_calls import SIGN, WARNINGS, feedback, order_sign
from tests.cds_hooks.prefetch.fetch_calls import app_client
from tests.cds_hooks.services.equation_calls import NOW
from tests.live import record_in


async def _card(calls: httpx.AsyncClient, service: str, request: dict[str, Any]) -> dict[str, Any]:
    answered = await calls.post(f"/cds-services/{service}", json=request)
    card: dict[str, Any] = answered.json()["cards"][0]
    return card


async def _override(calls: httpx.AsyncClient, service: str, card: dict[str, Any], code: str, second: int) -> None:
    body = feedback(card)
    (item,) = body["feedback"]
    item["outcomeTimestamp"] = f"{item['outcomeTimestamp'][:17]}{second:02}Z"
    (reason,) = (each for each in card["overrideReasons"] if each["code"] == code)
    item["outcome"], item["overrideReason"] = "overridden", {"reason": reason}
    sent = await calls.post(f"/cds-services/{service}/feedback", json=body)
    assert sent.status_code == 200, sent.text


def _answered(folder: Path) -> str:
    async def story() -> None:
        async with app_client(folder, as_of=NOW) as calls:
            view = request_for(PLANNING, "patient-view", "planning-talk", NOW)
            card = await _card(calls, PLANNING, view)
            for second, code in enumerate(
                ("patient-ineligible", "recipient-does-not-trust", "inappropriate-recipient")
            ):
                await _override(calls, PLANNING, card, code, second)
            warning = await _card(calls, SIGN, order_sign(WARNINGS[0]))
            assert "recipient-does-not-trust" not in {each["code"] for each in warning["overrideReasons"]}

    asyncio.run(story())
    return record_in(folder)


def test_each_reason_leads_to_its_list_with_the_decision_to_open(tmp_path: Path) -> None:
    url = _answered(tmp_path)
    found = reviewed(url, 0)
    assert [(each.reason, each.kind, each.name, each.answers) for each in found] == [
        ("patient-ineligible", "model", "mortality_5y", 1),
        ("recipient-does-not-trust", "model", "mortality_5y", 1),
        ("inappropriate-recipient", "model", "mortality_5y", 1),
    ]
    assert len({each.decisions[0] for each in found}) == 1
    assert reviewed(url, max(each.last for each in found) + 1) == []


def test_the_command_prints_the_three_lists(tmp_path: Path) -> None:
    url = _answered(tmp_path)
    done = CliRunner().invoke(app, ["monitor", "--reviews", "--days", "366", "--database", url])
    assert done.exit_code == 0, done.output
    for words in ("Review of the positive predictive value", "For the owner of the model", "filter by role"):
        assert words in done.output
    as_json = CliRunner().invoke(app, ["monitor", "--reviews", "--days", "366", "--database", url, "--json"])
    assert len(json.loads(as_json.stdout)) == 3
