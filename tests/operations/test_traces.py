"""Traces: what a call brings is recorded, logged and handed on."""

import asyncio
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.evidence.storage.queries import get_decision
from cds_hooks.telemetry.logs import configure_logs
from cds_hooks.telemetry.tracing import read_trace
from tests.cds_hooks.call.prefetch.fetch_calls import TOKEN, app_client, at_server, without
from tests.cds_hooks.call.security.servers import answering
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.each import for_rows
from tests.live import record_in

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


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
