"""Hypothesis against a live server: whatever is sent, an answer comes, it is JSON, and never a failure of ours."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conftest import examples
from tests.hardening.mutations import Json, mutated, spoiled
from tests.medication_strategies import medication_requests
from tests.strategies import bundles

pytestmark = pytest.mark.slow

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FUZZ = settings(
    max_examples=examples(60),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making a failure smaller takes minutes over HTTP
    deadline=None,  # a busy machine is no fault; the client's own time limit says what hangs
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SECONDS = 180

_FEEDBACK: Json = {
    "feedback": [
        {
            "card": "01a1f845-4e95-75a9-93e4-433f36c90100",
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "01a1f845-4e95-75a9-93e4-433f36c90101"}],
            "outcomeTimestamp": "2026-11-20T09:00:00Z",
        },
        {
            "card": "01a1f845-4e95-75a9-93e4-433f36c90200",
            "outcome": "overridden",
            "overrideReason": {"reason": {"code": "c", "system": "http://example.org"}, "userComment": "no"},
            "outcomeTimestamp": "2026-11-20T09:00:00.123+01:00",
        },
    ]
}
_VIEWS = [request_for(PLANNING, "patient-view", sample, AS_OF) for sample in ("planning-talk", "messy-record")]
_ORDERS = [
    request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded"),
    request_for(ORDERS, "order-select", "messy-record", AS_OF, "naproxen-messy"),
    request_for(ORDERS, "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-contained"),
]


@pytest.fixture(scope="module")
def calls(server: str) -> Iterator[httpx.Client]:
    """One client for all that is sent."""
    with httpx.Client(base_url=f"{server}/cds-services", timeout=SECONDS) as client:
        yield client


def _send(calls: httpx.Client, path: str, body: bytes) -> httpx.Response:
    answer = calls.post(f"/{path}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text
    document: dict[str, Any] = json.loads(answer.content)
    if answer.status_code >= 400:
        assert document["resourceType"] == "OperationOutcome"
        assert document["issue"]
    return answer


def _as_bytes(call: Json) -> bytes:
    return json.dumps(call).encode()


@FUZZ
@given(call=mutated(_VIEWS))
def test_a_patient_view_with_members_gone_or_changed(calls: httpx.Client, call: Json) -> None:
    _send(calls, PLANNING, _as_bytes(call))


@FUZZ
@given(call=mutated(_ORDERS))
def test_an_order_with_members_gone_or_changed(calls: httpx.Client, call: Json) -> None:
    _send(calls, ORDERS, _as_bytes(call))


@FUZZ
@given(drafts=mutated([call["context"]["draftOrders"] for call in _ORDERS], at_most=8), base=st.sampled_from(_ORDERS))
def test_drafts_with_members_gone_or_changed(calls: httpx.Client, drafts: Json, base: Json) -> None:
    _send(calls, ORDERS, _as_bytes({**base, "context": {**base["context"], "draftOrders": drafts}}))


@FUZZ
@given(call=mutated([_FEEDBACK]))
def test_feedback_with_members_gone_or_changed(calls: httpx.Client, call: Json) -> None:
    _send(calls, f"{ORDERS}/feedback", _as_bytes(call))


@FUZZ
@given(
    path=st.sampled_from((PLANNING, ORDERS, f"{PLANNING}/feedback")),
    body=spoiled([*map(_as_bytes, (*_VIEWS, *_ORDERS, _FEEDBACK))]),
)
def test_bodies_with_bytes_gone_or_changed(calls: httpx.Client, path: str, body: bytes) -> None:
    _send(calls, path, body)


@settings(FUZZ, max_examples=examples(20))
@given(chart=bundles("p", at_most=3), drafts=st.lists(medication_requests("p"), min_size=1, max_size=3))
def test_ugly_charts_and_drafts_that_are_valid_fhir(calls: httpx.Client, chart: Json, drafts: list[Json]) -> None:
    patient = chart["entry"][0]["resource"]
    prefetch = {"patient": patient} | {f"k{n}": each["resource"] for n, each in enumerate(chart["entry"][1:])}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in drafts]}
    context = {
        "userId": "Practitioner/1",
        "patientId": "p",
        "draftOrders": bundle,
        "selections": [f"MedicationRequest/{each['id']}" for each in drafts],
    }
    call = {"hook": "order-select", "hookInstance": "i", "context": context, "prefetch": prefetch | {"all": chart}}
    answer = _send(calls, ORDERS, _as_bytes(call))
    # a decimal of FHIR may be larger than any number a draft can be given back with
    assert answer.status_code in (200, 412) or "64 bits" in answer.text


_TOKEN = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":/?#"), min_size=1, max_size=30)


@FUZZ
@given(
    method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")),
    path=st.lists(_TOKEN, max_size=3).map("/".join),
    name=st.sampled_from(
        ("authorization", "origin", "accept", "content-type", "content-encoding", "x-forwarded-for", "cookie")
    ),
    value=_TOKEN,
)
def test_addresses_methods_and_headers_of_any_kind(
    calls: httpx.Client, method: str, path: str, name: str, value: str
) -> None:
    answer = calls.request(method, f"/{path}", headers={name: value}, content=b"{}")
    assert answer.status_code < 500


def test_the_server_is_still_well(calls: httpx.Client) -> None:
    assert len(_send(calls, PLANNING, _as_bytes(_VIEWS[0])).json()["cards"]) <= 1
