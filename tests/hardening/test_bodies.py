"""Bodies that are no request, over real HTTP: each a clear 4xx with an OperationOutcome, and quickly so."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.hardening.raw import Connection

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}
VIEW = json.dumps(request_for(PLANNING, "patient-view", "infant", AS_OF), separators=(",", ":")).encode()
SELECT = json.dumps(
    request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded"), separators=(",", ":")
).encode()
FEEDBACK = (
    b'{"feedback":[{"card":"01a1f845-4e95-75a9-93e4-433f36c90100","outcome":"overridden",'
    b'"outcomeTimestamp":"2026-11-20T09:00:00Z"}]}'
)


def _deep(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + b"1" + closing * levels


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "only spaces": lambda _: b" \n ",
    "cut off": lambda body: body[: len(body) // 2],
    "something after it": lambda body: body + b"{}",
    "a list": lambda body: b"[" + body + b"]",
    "a string": lambda _: b'"hook"',
    "a comment": lambda body: b"/* call */" + body,
    "a trailing comma": lambda body: body[:-1] + b",}",
    "single quotes": lambda body: body.replace(b'"', b"'"),
    "NaN": lambda body: body[:-1] + b',"x":NaN}',
    "Infinity": lambda body: body[:-1] + b',"x":-Infinity}',
    "an integer beyond 64 bits": lambda body: body[:-1] + b',"x":18446744073709551616}',
    "a number beyond a double": lambda body: body[:-1] + b',"x":1e999}',
    "a lone surrogate, escaped": lambda body: body[:-1] + b',"x":"\\ud800"}',
    "a lone surrogate, as bytes": lambda body: body[:-1] + b',"x":"\xed\xa0\x80"}',
    "surrogates the wrong way round": lambda body: body[:-1] + b',"x":"\\udc00\\ud800"}',
    "bytes that are not UTF-8": lambda body: body[:-1] + b',"x":"\xff\xfe"}',
    "an overlong encoding": lambda body: body[:-1] + b',"x":"\xc0\xaf"}',
    "a control character": lambda body: body[:-1] + b',"x":"\x01"}',
    "a zero byte": lambda body: body[:-1] + b',"x":"\x00"}',
    "the character zero": lambda body: body[:-1] + b',"x":"\\u0000"}',
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "UTF-32": lambda body: body.decode().encode("utf-32-be"),
    "a member twice": lambda body: body[:-1] + b',"x":1,"x":1}',
    "the first member twice": lambda body: body[: body.index(b",") + 1] + body[1:],
    "a hundred thousand lists": lambda body: body[:-1] + b',"x":' + _deep(100_000) + b"}",
    "a hundred thousand objects": lambda body: body[:-1] + b',"x":' + _deep(100_000, b'{"a":', b"}") + b"}",
    "lists that are never closed": lambda body: body[:-1] + b',"x":' + b"[" * 900_000,
}


def _post(server_here: str, path: str, body: bytes, headers: dict[str, str] = JSON) -> httpx.Response:
    return httpx.post(f"{server_here}/cds-services/{path}", content=body, headers=headers, timeout=180)


def _assert_refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses
    outcome: dict[str, Any] = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize(
    ("path", "body"),
    [(PLANNING, VIEW), (ORDERS, SELECT), (f"{PLANNING}/feedback", FEEDBACK)],
    ids=["view", "select", "fb"],
)
def test_a_broken_body_is_refused_in_a_sentence(server_here: str, fault: str, path: str, body: bytes) -> None:
    _assert_refused(_post(server_here, path, BROKEN[fault](body)), 400)


DRAFT = b'"resourceType":"MedicationRequest"'


@pytest.mark.parametrize(
    "inside",
    [b'"x":NaN', b'"x":1e999', b'"x":18446744073709551616', b'"x":"\\udc00"', b'"x":"\xff"', b'"x":' + _deep(900)],
    ids=["NaN", "1e999", "2**64", "surrogate", "UTF-8", "depth"],
)
def test_a_draft_that_cannot_be_read_is_refused_and_not_an_error_of_ours(server_here: str, inside: bytes) -> None:
    body = SELECT.replace(DRAFT, DRAFT + b"," + inside, 1)
    assert body != SELECT
    _assert_refused(_post(server_here, ORDERS, body), 400)


@pytest.mark.parametrize("value", [b"1e999", b"123456789012345678901234567890", b'"7"', b"[]", b"true", b"-0"])
def test_a_result_that_cannot_be_read_is_left_out_and_the_rest_stands(server_here: str, value: bytes) -> None:
    body = json.dumps(request_for(PLANNING, "patient-view", "planning-talk", AS_OF)).encode()
    start = body.index(b'"value": ') + len(b'"value": ')
    end = min(body.index(mark, start) for mark in (b",", b"}"))
    assert _post(server_here, PLANNING, body[:start] + value + body[end:]).status_code == 200


@pytest.mark.parametrize(
    "entries", [b",".join([b"{}"] * 40_000), b",".join([b'{"resource":{"resourceType":"Observation"}}'] * 40_000)]
)
def test_more_entries_than_any_chart_has_are_refused(server_here: str, entries: bytes) -> None:
    body = json.loads(VIEW)
    body["prefetch"]["labs"] = "LABS"
    bundle = b'{"resourceType":"Bundle","type":"searchset","entry":[' + entries + b"]}"
    _assert_refused(_post(server_here, PLANNING, json.dumps(body).encode().replace(b'"LABS"', bundle)), 413)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP, identity", "zstd", "x-unknown"])
def test_a_packed_body_is_not_unpacked(server_here: str, coding: str) -> None:
    _assert_refused(
        _post(server_here, PLANNING, b"\x1f\x8b\x08" + bytes(100), {**JSON, "content-encoding": coding}), 415
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PLANNING, 405),
        ("PUT", PLANNING, 405),
        ("DELETE", PLANNING, 405),
        ("PATCH", f"{PLANNING}/feedback", 405),
        ("TRACE", PLANNING, 405),
        ("POST", "nobody", 404),
        ("POST", "", 404),
        ("POST", f"{PLANNING}/", 404),
        ("POST", f"{PLANNING}/elsewhere", 404),
        ("POST", "nobody/feedback", 404),
        ("POST", "%00", 404),
        ("POST", "..%2f..%2fetc%2fpasswd", 404),
        ("POST", "x" * 5000, 404),
    ],
)
def test_what_is_not_there_is_said_to_be_not_there(server_here: str, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{server_here}/cds-services/{path}", content=b"{}", headers=JSON)
    _assert_refused(answer, status)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize("path", [PLANNING, f"{PLANNING}/feedback"])
def test_who_still_sends_a_body_over_the_limit_sees_the_answer_and_no_broken_connection(
    server_here: str, path: str
) -> None:
    """A proxy reads the answer after it has sent the body: a connection that was reset is a bad gateway to it."""
    most = 16 * 1024 * 1024
    with Connection(server_here) as connection:
        connection.post(f"/cds-services/{path}", b"{", f"Content-Length: {most + 1}")
        for _ in range(most // 65_536):
            connection.send(b" " * 65_536)
        answer = connection.answer()
        assert answer.status == 413
        assert json.loads(answer.body)["id"] == answer.headers["x-call-id"]
        assert connection.is_closed()


def test_a_body_without_an_end_is_read_for_no_longer_than_its_bound(server_here: str) -> None:
    def send_on(connection: Connection) -> None:
        for _ in range(2 * 1024):
            connection.send(b" " * 65_536)

    with Connection(server_here) as connection:
        connection.post(f"/cds-services/{PLANNING}", b"{", f"Content-Length: {1 << 40}")
        with pytest.raises(OSError, match=r"(?i)reset|pipe"):
            send_on(connection)
