"""What a payer's service reads from the client's FHIR server: what did not come, and what orders only refer to."""

from datetime import UTC, datetime
from pathlib import Path

from cds_hooks.call.dialects import ClientProfile
from cds_hooks.call.services import Service
from cds_hooks.call.services.coverage_requirements import ADVISOR
from cds_hooks.tools.kit.simulator.chart import Chart
from tests.cds_hooks.call.prefetch.fetch_calls import TOKEN, at_server, post, without
from tests.cds_hooks.call.services.coverage_calls import (
    COPD,
    COVERED,
    HOSPITAL,
    LISTED,
    PLACES,
    Json,
    answer_of,
    authorization,
    chart,
    concept,
    coverage,
    order,
    request_of,
    saturation,
    visit,
)
from tests.fhir_charts import serving_fhir

DECLARED = Service.of(ADVISOR)
(SIGN,) = [entry for entry in DECLARED.discovery() if entry["hook"] == "order-sign"]


def answer_by_server(folder: Path, drafted: Json, pool: list[Json]) -> Json:
    """The answer to a call without prefetch whose chart is at a FHIR server."""
    folder.mkdir()
    with serving_fhir([Chart(pool)], token=TOKEN) as running:
        request = at_server(without(request_of(SIGN, [drafted], pool)), running.base)
        answer = post(folder, SIGN["id"], request, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert answer.status_code == 200, answer.text
    return answer_of(answer.json())


def test_a_call_without_prefetch_is_answered_from_the_fhir_server(tmp_path: Path) -> None:
    assert answer_by_server(tmp_path / "a", order("E1390"), chart(COPD, saturation(87), visit())) == COVERED
    affirmed = authorization("K0823", "2026-09-01", "2027-02-28")
    assert answer_by_server(tmp_path / "b", order("K0823"), chart(affirmed))["satisfied-pa-id"] == "N1"


def test_payers_and_places_that_are_only_referred_to_are_looked_up(tmp_path: Path) -> None:
    payer = coverage() | {"payor": [{"reference": "Organization/cms"}], "class": []}
    pool = [
        *chart(payer=payer),
        {"resourceType": "Organization", "id": "cms", "name": "Medicare"},
        {"resourceType": "Location", "id": "h", "status": "active", "type": [concept(PLACES, "22")]},
    ]
    assert answer_by_server(tmp_path / "a", order("L5856"), pool) == LISTED
    there = order("15823", locationReference=[{"reference": "Location/h"}])
    assert answer_by_server(tmp_path / "b", there, pool) == HOSPITAL


def test_clients_of_3_0_are_asked_for_what_the_context_of_their_hook_refers_to() -> None:
    entries = {
        entry["hook"]: set(entry["prefetch"]) for entry in DECLARED.discovery(ClientProfile("any", version="3.0"))
    }
    referred = {"payors", "draftedPerformers", "draftedPlaces", "bookedPlaces"}
    assert {hook: keys & referred for hook, keys in entries.items()} == {
        "order-sign": referred - {"bookedPlaces"}, "order-select": referred - {"bookedPlaces"},
        "order-dispatch": {"payors"}, "appointment-book": {"payors", "bookedPlaces"}, "encounter-start": {"payors"},
        "encounter-discharge": {"payors"},
    }  # fmt: skip
    assert not referred & set(SIGN["prefetch"]), "no client of 2.0 can follow a path"


def test_more_orders_than_are_judged_are_refused_before_any_is_looked_for(tmp_path: Path) -> None:
    orders = [f"ServiceRequest/s{number}" for number in range(201)]
    context: Json = {"patientId": "p1", "performer": "Organization/o1", "dispatchedOrders": orders}
    call = {"hook": "order-dispatch", "hookInstance": "a-call", "context": context, "prefetch": {}}
    answer = post(tmp_path, "coverage-requirements-dispatch", call, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert answer.status_code == 413
