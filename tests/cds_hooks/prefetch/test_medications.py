"""CDS Hooks 3.0: keys that need others are filled after them, and nobody is asked twice."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import ORDERS, ours, request_for
from tests.cds_hooks.prefetch.fetch_calls import at_server, post, without
from tests.fhir.builders import bundle, medication_order
from tests.fhir_charts import sample_chart, serving_fhir

WARFARIN = {"resourceType": "Medication", "id": "m1", "code": {"text": "Warfarin 5 MG Oral Tablet"}}
METFORMIN = {"resourceType": "Medication", "id": "m2", "code": {"text": "Metformin 500 MG Oral Tablet"}}


def _refers(identity: str, medication: str) -> dict[str, Any]:
    return medication_order(
        None, patient="ckd4-metformin", id=identity, medicationReference={"reference": f"Medication/{medication}"}
    )


@pytest.fixture
def request_3(as_of: datetime) -> dict[str, Any]:
    """order-sign with a draft and an order that only refer to their products."""
    request = request_for(ORDERS, "order-sign", "ckd4-metformin", as_of, "metformin-ckd4-coded")
    (entry,) = request["context"]["draftOrders"]["entry"]
    del entry["resource"]["medicationCodeableConcept"]
    entry["resource"]["medicationReference"] = {"reference": "Medication/m2"}
    request["prefetch"]["medications"] = bundle(_refers("o1", "m1"))
    return request


def _chart(as_of: datetime) -> Any:
    chart = sample_chart("ckd4-metformin", as_of)
    kept = [each for each in chart.resources if each["resourceType"] != "MedicationRequest"]
    chart.resources[:] = [*kept, _refers("o1", "m1"), WARFARIN, METFORMIN]
    return chart


def _states(folder: Path) -> dict[str, Any]:
    (decision,) = list_decisions(f"sqlite:///{folder}/decisions.sqlite3", limit=1)
    found: dict[str, Any] = msgspec.json.decode(decision.basis)["prefetch"]
    return found


def test_products_that_came_are_not_asked_for(tmp_path: Path, as_of: datetime, request_3: dict[str, Any]) -> None:
    products = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": WARFARIN}]}
    request_3["prefetch"] |= {"orderedProducts": products, "draftedProducts": METFORMIN}
    with serving_fhir([_chart(as_of)]) as running:
        answer = post(tmp_path, ORDERS, at_server(request_3, running.base), as_of=as_of, protocol_version="3.0")
    assert running.queries == []
    assert len(answer.json()["cards"]) == 1


def test_a_key_whose_orders_are_not_known_says_so(tmp_path: Path, as_of: datetime, request_3: dict[str, Any]) -> None:
    sent = without(request_3, "medications")
    with serving_fhir([_chart(as_of)], mode="403") as running:
        post(tmp_path, ORDERS, at_server(sent, running.base), as_of=as_of, protocol_version="3.0")
    assert _states(tmp_path)["orderedProducts"] == {"state": "unobtainable", "reason": "needs-another"}


def test_products_that_cannot_be_had_are_asked_for_once_and_said(
    tmp_path: Path, as_of: datetime, request_3: dict[str, Any]
) -> None:
    with serving_fhir([_chart(as_of)], mode="403") as running:
        answer = post(tmp_path, ORDERS, at_server(request_3, running.base), as_of=as_of, protocol_version="3.0")
    assert sorted(running.queries) == ["/Medication?_id=m1", "/Medication?_id=m2"]
    silence = {each["subject"]: each for each in ours(answer)["silence"]}
    assert silence["prefetch.medications"]["reason"] == "partial"


def test_a_client_of_2_0_is_served_as_before(tmp_path: Path, as_of: datetime, request_3: dict[str, Any]) -> None:
    with serving_fhir([_chart(as_of)]) as running:
        answer = post(tmp_path, ORDERS, at_server(request_3, running.base), as_of=as_of)
    assert running.queries == ["/Medication?_id=m2%2Cm1"] or running.queries == ["/Medication?_id=m1,m2&_count=2"]
    assert len(answer.json()["cards"]) == 1
    assert "orderedProducts" not in _states(tmp_path)
