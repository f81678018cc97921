"""Studies and tests at order-dispatch: found by their references, judged as they were signed, corrected as active."""

from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.call.dialects import ClientProfile
from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.chart import Chart
from tests.cds_hooks.call.prefetch.fetch_calls import at_server, post, without
from tests.cds_hooks.calls import ours, request_for
from tests.each import each_row
from tests.fhir_charts import sample_chart, serving_fhir

DISPATCH = "order-safety-dispatch"
ORDER = "ServiceRequest/draft-ct-abdomen"
RULE = "img-iodine-kidney"

Request = dict[str, Any]


def _request(as_of: datetime, **context: Any) -> Request:
    """A CT with contrast, signed, for a woman with an eGFR of 25."""
    request = request_for(DISPATCH, "order-dispatch", "nsaid-egfr-25", as_of, "ct-contrast-egfr-25")
    request["context"] |= context
    return request


def _order(request: Request) -> dict[str, Any]:
    resource: dict[str, Any] = next(
        entry["resource"] for entry in request["prefetch"]["tests"]["entry"] if entry["resource"]["id"] in ORDER
    )
    return resource


def _rules(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    found = [card["extension"]["org.cds-hooks-onnx"]["findings"][0] for card in answer.json()["cards"]]
    return [each["rule"] for each in found]


def _reasons(answer: httpx.Response) -> dict[str, str]:
    return {each["subject"]: each["reason"] for each in ours(answer).get("silence", [])}


def test_each_hook_for_orders_has_its_own_address(as_of: datetime) -> None:
    (entry,) = find_services(file="separate")[DISPATCH].discovery()
    assert (entry["hook"], entry["id"]) == ("order-dispatch", DISPATCH)
    assert "dispatched" not in entry["prefetch"]
    (of_3,) = find_services(file="separate")[DISPATCH].discovery(ClientProfile("any", version="3.0"))
    assert of_3["prefetch"]["dispatched"].startswith("ServiceRequest?_id={{context.dispatchedOrders")
    assert find_services(file="separate")[DISPATCH].discovery(ClientProfile("any", version="1.0")) == []


@each_row("context", ids=["absolute", "version", "twice", "hook 1.0", "hyphens"])
def test_the_order_is_found_by_every_form_of_its_reference(
    tmp_path: Path, as_of: datetime, context: dict[str, Any]
) -> None:
    request = _request(as_of)
    del request["context"]["dispatchedOrders"]
    request["context"] |= context
    assert _rules(post(tmp_path, DISPATCH, request, as_of=as_of)) == [RULE]


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_an_order_that_did_not_come_along_is_read_from_the_fhir_server(
    tmp_path: Path, as_of: datetime, version: str
) -> None:
    request = _request(as_of)
    chart = sample_chart("nsaid-egfr-25", as_of)
    # Fifty newer orders stand before it in the search of a client that cannot be asked for the order itself.
    newer = [
        {**_order(request), "id": f"newer-{number}", "code": {"text": "Walking aid"}, "authoredOn": "2026-11-20"}
        for number in range(60)
    ]
    older = _order(request) | {"authoredOn": "2026-10-01"}
    with serving_fhir([Chart([*chart.resources, *newer, older])]) as running:
        asked = at_server(without(request), running.base)
        answer = post(tmp_path, DISPATCH, asked, as_of=as_of, protocol_version=version)
        queries = [each for each in running.queries if "ServiceRequest" in each and "_id=" in each]
    assert _rules(answer) == [RULE]
    assert len(queries) == 1
    revoke = answer.json()["cards"][0]["suggestions"][1]["actions"][0]["resource"]
    assert revoke == older | {"status": "revoked"}


def test_an_order_that_came_along_is_not_asked_for(tmp_path: Path, as_of: datetime) -> None:
    with serving_fhir([sample_chart("nsaid-egfr-25", as_of)]) as running:
        assert _rules(post(tmp_path, DISPATCH, at_server(_request(as_of), running.base), as_of=as_of)) == [RULE]
        assert running.queries == []


def test_without_any_of_the_orders_there_is_no_advice(tmp_path: Path, as_of: datetime) -> None:
    request = without(_request(as_of), "tests")
    answer = post(tmp_path, DISPATCH, request, as_of=as_of)
    assert answer.status_code == 412
    assert "None of the ServiceRequests of context.dispatchedOrders is available" in answer.text


def test_an_order_that_was_looked_for_and_not_found_is_said(tmp_path: Path, as_of: datetime) -> None:
    request = without(_request(as_of), "tests")
    with serving_fhir([sample_chart("nsaid-egfr-25", as_of)]) as running:
        nowhere = post(tmp_path, DISPATCH, at_server(request, running.base), as_of=as_of)
    request["prefetch"]["tests"] = None
    for answer in (nowhere, post(tmp_path, DISPATCH, request, as_of=as_of)):
        assert _rules(answer) == []
        assert _reasons(answer)[ORDER] == "order-not-found"


def test_an_order_that_is_missing_beside_one_that_is_there_is_said(tmp_path: Path, as_of: datetime) -> None:
    request = _request(as_of, dispatchedOrders=[ORDER, "ServiceRequest/elsewhere", "MedicationRequest/1"])
    answer = post(tmp_path, DISPATCH, request, as_of=as_of)
    assert _rules(answer) == [RULE]
    reasons = _reasons(answer)
    assert reasons["ServiceRequest/elsewhere"] == "order-not-found"
    assert reasons["MedicationRequest/1"] == "not-a-study"
    assert reasons["prefetch.dispatched"] == "no-server"


def test_a_task_about_another_order_is_said(tmp_path: Path, as_of: datetime) -> None:
    tasks = [{"resourceType": "Task", "focus": {"reference": each}} for each in (ORDER, "ServiceRequest/other")]
    answer = post(tmp_path, DISPATCH, _request(as_of, fulfillmentTasks=tasks), as_of=as_of)
    assert _reasons(answer)["fulfillmentTasks[1]"] == "not-dispatched"
    assert "fulfillmentTasks[0]" not in _reasons(answer)


@pytest.mark.parametrize("status", ["revoked", "completed", "entered-in-error", "on-hold"])
def test_an_order_that_is_not_to_be_done_is_not_judged(tmp_path: Path, as_of: datetime, status: str) -> None:
    request = _request(as_of)
    _order(request)["status"] = status
    assert _rules(post(tmp_path, DISPATCH, request, as_of=as_of)) == []


def test_an_order_of_another_patient_is_refused(tmp_path: Path, as_of: datetime) -> None:
    request = _request(as_of)
    _order(request)["subject"] = {"reference": "Patient/somebody-else"}
    assert post(tmp_path, DISPATCH, request, as_of=as_of).status_code == 400


def test_more_orders_than_one_call_may_have_are_refused(tmp_path: Path, as_of: datetime) -> None:
    request = _request(as_of, dispatchedOrders=[f"ServiceRequest/{number}" for number in range(201)])
    assert post(tmp_path, DISPATCH, request, as_of=as_of).status_code == 413
