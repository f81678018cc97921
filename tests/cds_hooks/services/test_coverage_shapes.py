"""A member of a wrong JSON type in a resource that the payers' service reads itself is refused or passed over."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.calls import client
from tests.cds_hooks.services.coverage_calls import (
    SERVICE,
    Json,
    bundle,
    condition,
    coverage,
    entry_for,
    form_in,
    medication,
    order,
    patient,
    procedure,
    request_of,
    response_to,
    result,
    visit,
)
from tests.each import some_of

ODD: tuple[Any, ...] = (7, "x", {"a": 1}, [[]], [{}])


def _members(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the members of resources stand, and what stands in their lists."""
    if "resource" in path[:-1] or path[:1] == ("prefetch",):
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        if len(path) < 7:
            yield from _members(child, (*path, name))


def _with(body: Json, path: tuple[Any, ...], odd: Any) -> Json:
    changed = copy.deepcopy(body)
    holder = changed
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = odd
    return changed


@pytest.mark.slow
@pytest.mark.sampled
async def test_no_type_of_a_member_of_a_resource_fails_the_service(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        entry = await entry_for(calls)
        address = f"/cds-services/{entry['id']}"
        chart = [patient(), coverage(), condition("I89.0")]
        form = form_in((await calls.post(address, json=request_of(entry, [order("E0652")], chart))).json())
        chart += [response_to(form, "conservative"), visit(), procedure("99213", "2025-01-01")]
        chart += [medication("197361", "amlodipine"), result("39156-5", 33, "kg/m2", "2026-11-01")]
        body = request_of(entry, [order("E0652")], chart)
        assert (await calls.post(address, json=body)).status_code == 200
        failed = []
        for number, path in some_of(enumerate(_members(body)), 3):
            changed = _with(body, path, ODD[number % len(ODD)])
            if (await calls.post(address, json=changed)).status_code not in (200, 400, 412):
                failed.append(path)
        assert failed == []


@pytest.mark.parametrize("odd", [7, "x", {"a": 1}, [[]], [{}], [{"extension": 7}], [{"extension": [7]}]])
async def test_no_type_of_a_member_fails_the_package_of_forms(tmp_path: Path, odd: Any) -> None:
    address = f"/cds-services/{SERVICE}/Questionnaire/$questionnaire-package"
    draft = {**order("E0652"), "extension": odd}
    async with client(tmp_path) as calls:
        for parameters in (
            odd,
            [{"name": "order", "resource": draft}],
            [{"name": "questionnaire", "valueCanonical": odd}],
        ):
            answer = await calls.post(address, json={"resourceType": "Parameters", "parameter": parameters})
            assert answer.status_code in (400, 404), parameters


@pytest.mark.parametrize(
    ("resource", "member", "odd"),
    [
        ("coverage", "status", ["active"]), ("coverage", "beneficiary", "Patient/p"), ("coverage", "payor", "Medicare"),
        ("patient", "address", 7), ("draft", "id", {"a": 1}),
    ],
)  # fmt: skip
async def test_the_refusal_names_the_member(tmp_path: Path, resource: str, member: str, odd: Any) -> None:
    resources = {"coverage": coverage(), "patient": patient(), "draft": order("E0652")}
    resources[resource] = resources[resource] | {member: odd}
    async with client(tmp_path) as calls:
        entry = await entry_for(calls)
        body = request_of(entry, [order("E0652")], [patient(), coverage()])
        body["context"]["draftOrders"] = bundle([resources["draft"]])
        for key, value in body["prefetch"].items():
            name = {"patient": "patient", "coverages": "coverage"}.get(key)
            if name is not None:
                body["prefetch"][key] = (
                    resources[name] if value["resourceType"] != "Bundle" else bundle([resources[name]])
                )
        answer = await calls.post(f"/cds-services/{entry['id']}", json=body)
    assert answer.status_code == 400
    assert f".{member} has not the JSON type" in answer.text
