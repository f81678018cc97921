"""The OpenAPI document is correct: its examples are answered as it says, and what is answered fits its schemas."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.contract.definitions import fields_of
from tests.cds_hooks.calls import PLANNING, client, request_for

SERVICE = "/cds-services/{service_id}"


async def _call(folder: Path, what: Callable[[httpx.AsyncClient], Awaitable[Any]], **settings: Any) -> Any:
    async with client(folder, **settings) as calls:
        return await what(calls)


async def _document(calls: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await calls.get("/openapi.json")).json()
    return found


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def _schema(operation: dict[str, Any], status: int = 200) -> dict[str, Any]:
    schema: dict[str, Any] = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    return schema


async def test_every_service_and_hook_has_an_example_that_is_answered_as_the_document_says(
    tmp_path: Path, as_of: datetime
) -> None:
    async def send(calls: httpx.AsyncClient) -> None:
        document = await _document(calls)
        operation = document["paths"][SERVICE]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        expected = {
            f"{service.id}, {hook}" for service in find_services(file="separate").values() for hook in service.hooks
        }
        assert set(body["examples"]) == expected
        for name, example in body["examples"].items():
            _check(document, body["schema"], example["value"])
            needed = {field.name for field in fields_of(example["value"]["hook"]) if field.required}
            assert set(example["value"]["context"]) == needed | {"userId"}, name
            answer = await calls.post(f"/cds-services/{name.partition(',')[0]}", json=example["value"])
            assert answer.status_code == 200, f"{name}: {answer.text}"
            _check(document, _schema(operation), answer.json())

    await _call(tmp_path, send, as_of=as_of)


async def test_cards_errors_discovery_feedback_and_outcomes_fit_the_schemas(tmp_path: Path, as_of: datetime) -> None:
    async def send(calls: httpx.AsyncClient) -> None:
        document = await _document(calls)
        paths = document["paths"]
        _check(document, _schema(paths["/cds-services"]["get"]), (await calls.get("/cds-services")).json())
        request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        answer = (await calls.post(f"/cds-services/{PLANNING}", json=request)).json()
        assert answer["cards"]
        _check(document, _schema(paths[SERVICE]["post"]), answer)
        refused = await calls.post(f"/cds-services/{PLANNING}", json={})
        assert refused.status_code == 400
        _check(document, _schema(paths[SERVICE]["post"], 400), refused.json())
        operation = paths[f"{SERVICE}/feedback"]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            _check(document, body["schema"], example["value"])
            sent = await calls.post(f"/cds-services/{PLANNING}/feedback", json=example["value"])
            assert sent.status_code == 200, sent.text
        operation = paths["/outcomes"]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            _check(document, body["schema"], example["value"])
            sent = await calls.post("/outcomes", json=example["value"])
            assert sent.status_code == 200, sent.text
            _check(document, _schema(operation), sent.json())

    await _call(tmp_path, send, as_of=as_of)


async def test_a_server_whose_record_is_away_lives_and_is_not_ready(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        before = await calls.get("/readyz")
        (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
        after = [await calls.get(path) for path in ("/readyz", "/livez")]
        assert "recorded" in after[0].text
        answered = [answer.status_code for answer in (before, *after)]
    assert answered == [200, 503, 200]
