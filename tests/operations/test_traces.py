"""Traces: what a call brings is recorded, logged and handed on; spans reach a real collector and say nothing more."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.evidence.storage.queries import get_decision
from cds_hooks.telemetry.logs import configure_logs
from cds_hooks.telemetry.tracing import ATTRIBUTES, TracingUnavailable, open_tracing, read_trace
from tests.cds_hooks.call.prefetch.fetch_calls import TOKEN, app_client, at_server, without
from tests.cds_hooks.call.security.servers import answering
from tests.cds_hooks.calls import ORDERS, PLANNING, ours, request_for
from tests.constants import settings_with
from tests.each import for_rows
from tests.live import record_in, serving
from tests.operations.collector import Collector, attributes, collecting
from tests.waiting import until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@for_rows(
    "value",
    [
        "", "00", GIVEN.upper(), f" {GIVEN[:-1]}", f"ff{GIVEN[2:]}", f"{GIVEN}-more", f"0{GIVEN}",
        GIVEN.replace("-", "_"),
        f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-0x",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"{GIVEN}\r\nx: y", "é" * 55, "00-" + "a" * 100_000,
    ],
)  # fmt: skip
def test_a_malformed_traceparent_is_ignored(value: str) -> None:
    assert not read_trace([(b"traceparent", value.encode()), (b"tracestate", b"a=b")]).is_valid


@pytest.mark.parametrize(
    ("value", "sampled"), [(GIVEN, True), (GIVEN[:-1] + "0", False), (f"cc{GIVEN[2:]}-what", True)]
)
def test_a_traceparent_is_read_also_of_a_later_version(value: str, sampled: bool) -> None:
    place = read_trace([(b"host", b"x"), (b"traceparent", f" {value}\t".encode())])
    assert (f"{place.trace_id:032x}", f"{place.span_id:016x}", place.trace_flags.sampled) == (TRACE, PARENT, sampled)


@for_rows(
    ("values", "expected"),
    [
        ([STATE], STATE),
        (["a=1", " b=2 , ,c@d=3\t"], "a=1,b=2,c@d=3"),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["a=é"], ""),
        (["a=b\r\nauthorization: x"], ""),
        (["a=1=2"], ""),
        (["a"], ""),
        ([",".join(f"k{n}=v" for n in range(33))], ""),
        ([f"a={'v' * 252},b={'v' * 255}"], f"a={'v' * 252},b={'v' * 255}"),
        ([f"a={'v' * 252}", f"b={'v' * 256}"], ""),
    ],
)
def test_tracestate_is_kept_whole_or_not_at_all(values: list[str], expected: str) -> None:
    headers = [(b"traceparent", GIVEN.encode()), *((b"tracestate", value.encode()) for value in values)]
    assert read_trace(headers).trace_state.to_header() == expected


def basis_of(folder: Path, decision: str) -> dict[str, Any]:
    found = get_decision(record_in(folder), decision)
    assert found is not None
    basis: dict[str, Any] = json.loads(found.basis)
    return basis


def test_a_trace_is_recorded_and_handed_on_to_the_fhir_server_with_a_span_of_our_own(
    tmp_path: Path, as_of: datetime
) -> None:
    bundle = b'{"resourceType":"Bundle","type":"searchset","entry":[]}'
    request = without(request_for(PLANNING, "patient-view", "planning-talk", as_of), "conditions")

    async def conversation() -> httpx.Response:
        headers = {"traceparent": GIVEN, "tracestate": STATE}
        async with app_client(tmp_path, as_of=as_of, fetch_milliseconds=10_000) as calls:
            return await calls.post(f"/cds-services/{PLANNING}", json=at_server(request, fhir.base), headers=headers)

    with answering(lambda _: (200, {"content-type": "application/fhir+json"}, bundle)) as fhir:
        answer = asyncio.run(conversation())
    recorded = basis_of(tmp_path, ours(answer)["decision"])["trace"]
    assert recorded == {"id": TRACE, "parent": PARENT, "span": recorded["span"], "state": STATE}
    assert recorded["span"] != PARENT
    sent = [headers for _, _, headers in fhir.requests]
    assert sent
    assert {each["traceparent"] for each in sent} == {f"00-{TRACE}-{recorded['span']}-01"}
    assert {each["tracestate"] for each in sent} == {STATE}
    assert {each["authorization"] for each in sent} == {f"Bearer {TOKEN}"}


async def test_the_log_names_the_trace_of_a_refused_and_of_an_answered_call(tmp_path: Path, as_of: datetime) -> None:
    written = io.StringIO()
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    async with app_client(tmp_path, as_of=as_of) as calls:
        configure_logs("debug", written)
        for body in (request, {}):
            await calls.post(f"/cds-services/{PLANNING}", json=body, headers={"traceparent": GIVEN})
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["event"], line["trace"]) for line in lines if "trace" in line] == [
        ("call answered", TRACE),
        ("call refused", TRACE),
    ]


@pytest.mark.slow
def test_spans_of_a_call_and_its_stages_reach_a_collector(
    tmp_path: Path, as_of: datetime, collector: Collector
) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    address = f"{collector.address}/"
    with serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=address, CDS_AS_OF=as_of.isoformat()) as server:
        url = f"{server}/cds-services/{PLANNING}"
        answer = httpx.post(url, json=request, headers={"traceparent": GIVEN, "tracestate": STATE})
        refused = httpx.post(url, json={})
        first, second = collector.wait_for(2)
    decision = ours(answer)["decision"]
    assert set(collector.paths) == {"/v1/traces"}
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert first.span_id.hex() == basis_of(tmp_path, decision)["trace"]["span"]
    assert first.name == f"POST /cds-services/{PLANNING}"
    assert collector.stages_of(first) == ["decode", "facts", "decide", "model", "encode", "record"]
    said = attributes(first)
    assert said.pop("cds.bytes") == len(answer.content)
    assert said.pop("cds.silences") == len(ours(answer).get("silence", []))
    assert said.pop("cds.prefetch.given") == len(request["prefetch"])
    assert said == {
        "http.request.method": "POST", "http.route": f"/cds-services/{PLANNING}", "http.response.status_code": 200,
        "cds.service": PLANNING, "cds.hook": "patient-view", "cds.client": "anonymous", "cds.decision": decision,
        "cds.cards": 1, "cds.prefetch.fetched": 0, "cds.prefetch.missing": 0,
    }  # fmt: skip
    assert refused.status_code == 400
    assert attributes(second)["http.response.status_code"] == 400
    assert attributes(second)["error.type"] == "BadRequest"
    (resource,) = {request.resource_spans[0].resource.SerializeToString() for request in collector.requests}
    assert b"cds-hooks" in resource


async def test_nothing_hostile_gets_to_the_collector(tmp_path: Path, as_of: datetime, collector: Collector) -> None:
    """Marks of a patient and of an attacker in every place that a caller can fill."""
    mark = "Zebedee-4711"
    request = json.loads(json.dumps(request_for(ORDERS, "order-sign", "ckd4-metformin", as_of, "metformin-ckd4-coded")))
    request["prefetch"]["patient"]["name"] = [{"family": mark}]
    request["context"]["userId"] = f"Practitioner/{mark}"
    request["hookInstance"] = mark
    hostile = {"traceparent": GIVEN, "tracestate": f"a={mark}", "user-agent": mark, "baggage": f"a={mark}", "x-a": mark}
    broken = [
        {**request, "hook": mark},
        {**request, "context": mark},
        {**request, "fhirServer": f"https://{mark}.example"},
    ]
    async with app_client(tmp_path, as_of=as_of, otlp_endpoint=collector.address) as calls:
        for body in (request, *broken):
            await calls.post(f"/cds-services/{ORDERS}?{mark}={mark}", json=body, headers=hostile)
        await calls.post(f"/cds-services/{mark}", json=request, headers=hostile)
        await calls.post(f"/cds-services/{ORDERS}", content=mark.encode(), headers=hostile)
    collector.wait_for(6)
    everything = b"".join(collector.bodies)
    patient = request["context"]["patientId"].encode()
    for secret in (mark.encode(), mark.lower().encode(), patient, b"Practitioner", str(tmp_path).encode()):
        assert secret not in everything
    assert {name for span in collector.spans for name in attributes(span)} <= ATTRIBUTES
    assert {event for span in collector.spans for event in span.events} == set()


async def test_a_call_that_nobody_trusted_has_made_has_no_span(tmp_path: Path, collector: Collector) -> None:
    trust, written = tmp_path / "trust.toml", io.StringIO()
    trust.write_text("version = 1\n")
    async with app_client(tmp_path, otlp_endpoint=collector.address, trust_file=trust) as calls:
        configure_logs("info", written)
        answered = await calls.post(f"/cds-services/{PLANNING}", json={}, headers={"traceparent": GIVEN})
    assert answered.status_code == 401
    assert collector.calls == []  # the server has ended, and sent what it had
    assert f'"trace": "{TRACE}"' in written.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "headers"), [(503, {}), (400, {}), (302, {"location": "http://127.0.0.1:9/elsewhere"}), (0, {})]
)
async def test_a_collector_that_fails_stops_no_call_and_no_end_and_is_said_in_the_log(
    tmp_path: Path, as_of: datetime, collector: Collector, status: int, headers: dict[str, str]
) -> None:
    collector.status, collector.headers = status or 200, headers
    address = collector.address if status else "http://127.0.0.1:9"
    request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    written = io.StringIO()
    async with app_client(tmp_path, as_of=as_of, otlp_endpoint=address) as calls:
        configure_logs("info", written)
        answered = await calls.post(f"/cds-services/{PLANNING}", json=request)
    assert answered.status_code == 200
    until(lambda: "traces cannot be sent" in written.getvalue())
    assert [json.loads(line)["level"] for line in written.getvalue().splitlines()] == ["error"]
    assert not [path for path in collector.paths if path.startswith("GET") or "elsewhere" in path]
    assert collector.spans == []


@for_rows("value", ["http://collector.example.org:4318", "ftp://127.0.0.1", "https://a:b@c.example", "4318"])
def test_an_address_that_would_send_unencrypted_is_refused(value: str) -> None:
    with pytest.raises(TracingUnavailable, match=r"write it as https://host\.example\.org/path"):
        open_tracing(settings_with(otlp_endpoint=value))


@pytest.mark.slow
def test_without_the_extra_the_server_says_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['cds_hooks.telemetry.otlp'] = None; from cds_hooks.cli import main; "
    program += "sys.argv = ['cds-hooks', 'serve', '--port', '0']; main()"
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    environment = os.environ | collector | {"CDS_DATABASE_URL": record_in(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "pip install 'cds-hooks-onnx[otlp]'" in done.stderr
    assert "Traceback" not in done.stderr
