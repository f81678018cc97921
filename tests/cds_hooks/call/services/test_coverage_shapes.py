"""A member of a wrong JSON type in a resource that the payers' service reads itself is refused or passed over."""

from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.call.services.coverage_calls import (
    SERVICE,
    bundle,
    coverage,
    entry_for,
    order,
    patient,
    request_of,
)
from tests.cds_hooks.calls import client
from tests.each import each_row


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


@each_row(("resource", "member", "odd"))
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
    assert f".{member} does not have the JSON type" in answer.text
