"""Alive and ready are two things: without a record no call can be answered."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.in_process import service_in_process
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.security.trust import DevelopmentTrust
from tests.cds_hooks.calls import PLANNING, client


async def test_a_server_whose_record_is_away_lives_and_is_not_ready(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        before = await calls.get("/readyz")
        (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
        after = [await calls.get(path) for path in ("/readyz", "/livez")]
        assert "recorded" in after[0].text
        answered = [answer.status_code for answer in (before, *after)]
    assert answered == [200, 503, 200]


def test_a_store_of_used_tokens_that_cannot_be_written_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_self: object) -> None:
        raise ReplayStoreFailed("The server cannot check the call's token.")

    monkeypatch.setattr(DevelopmentTrust, "check", fails)
    with service_in_process() as server:
        answer = server.call("GET", "/readyz", status=503)
    assert b"the tokens of calls cannot be checked" in answer


# Discovery and feedback.
ITEM: dict[str, Any] = {
    "card": "01a1f845-4e95-75a9-93e4-433f36c90100",
    "outcome": "overridden",
    "outcomeTimestamp": "2026-11-20T09:00:00Z",
    "overrideReason": {"reason": {"code": "already", "system": "https://example.org"}, "userComment": "done last week"},
}


async def _feedback(folder: Path, body: bytes, service: str = PLANNING) -> httpx.Response:
    async with client(folder) as calls:
        return await calls.post(
            f"/cds-services/{service}/feedback", content=body, headers={"content-type": "application/json"}
        )


async def test_discovery_lists_every_service_with_its_templates(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answered = await calls.get("/cds-services")
    services = answered.json()["services"]
    assert {entry["hook"] for entry in services} >= {"patient-view", "order-select"}
    for entry in services:
        assert entry["prefetch"]["patient"] == "Patient/{{context.patientId}}"
        searches = {key: query for key, query in entry["prefetch"].items() if "?" in query}
        assert searches.pop("userRoles") == "PractitionerRole?practitioner={{userPractitionerId}}"
        assert all("patient={{context.patientId}}" in query for query in searches.values())
        assert entry["title"]
        assert entry["description"]


async def test_feedback_is_accepted_and_once_more_is_no_error(tmp_path: Path) -> None:
    body = json.dumps({"feedback": [ITEM]}).encode()
    assert [(await _feedback(tmp_path, body)).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"feedback": []}',
        b'{"feedback": [{}]}',
        json.dumps({"feedback": [ITEM | {"outcome": "ignored"}]}).encode(),
        json.dumps(
            {"feedback": [{"card": "c", "outcome": "accepted", "outcomeTimestamp": "2026-11-20T09:00:00Z"}]}
        ).encode(),
    ],
)
async def test_feedback_of_another_form_is_refused(tmp_path: Path, body: bytes) -> None:
    answer = await _feedback(tmp_path, body)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_feedback_for_an_unknown_service_is_not_found(tmp_path: Path) -> None:
    assert (await _feedback(tmp_path, b"{}", "nobody")).status_code == 404
