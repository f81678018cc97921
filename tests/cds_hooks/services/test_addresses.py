"""Each hook has an address of its own, and the id of a service answers all its hooks."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.services import by_address, find_services
from tests.cds_hooks.calls import client, request_for

SELECT, SIGN = "order-safety-select", "order-safety-sign"


def test_no_id_is_listed_for_two_hooks() -> None:
    listed = [entry["id"] for service in find_services().values() for entry in service.discovery()]
    assert len(listed) == len(set(listed))
    assert {SELECT, SIGN} < set(listed)


@pytest.mark.parametrize(
    ("hook", "name", "status"),
    [
        ("order-select", SELECT, 200),
        ("order-sign", SIGN, 200),
        ("order-select", "order-safety", 200),
        ("order-sign", "order-safety", 200),
        ("order-sign", SELECT, 400),
        ("order-select", SIGN, 400),
    ],
)
def test_a_listed_id_answers_its_hook_alone(hook: str, name: str, status: int, tmp_path: Path, as_of: datetime) -> None:
    request = request_for("order-safety", hook, "ckd4-metformin", as_of, "metformin-ckd4-coded")

    async def call() -> tuple[Any, Any]:
        async with client(tmp_path, as_of=as_of) as calls:
            feedback = await calls.post(f"/cds-services/{name}/feedback", json={"feedback": []})
            return await calls.post(f"/cds-services/{name}", json=request), feedback

    answer, feedback = asyncio.run(call())
    assert answer.status_code == status
    assert feedback.status_code != 404
    if status == 200:
        assert len(answer.json()["cards"]) == 1


def test_every_listed_id_and_every_old_one_is_an_address() -> None:
    services = find_services()
    addresses = by_address(services)
    listed = {entry["id"] for service in services.values() for entry in service.discovery()}
    assert set(addresses) == listed | set(services)
