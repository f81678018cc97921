"""Requests of a simulated client, whose times and ids change from call to call."""

import re
from itertools import count
from random import randrange
from typing import Any

import orjson

_TIME = re.compile(rb"(T\d\d:\d)\d:\d\d")
_LIMIT = re.compile(r"&_count=\d+")
_INSTANCE = re.compile(rb'("hookInstance": ?"[0-9a-f-]{29})\d{7}')
# Control characters never stand in JSON, so what they mark is found again by a plain search; as long as what they mark.
_CHANGING_TIME, _CHANGING_NUMBER = b"\x01" * 4, b"\x02" * 7
NUMBER_MARK = "0000000"
"""What stands behind the ids of a body until it is sent."""
_numbers = count(randrange(1_000_000))


class ChangingRequest:
    """One request whose times and ids are others each time it is sent.

    A service may remember what it parsed. In a hospital the next call is about another patient, at other times; a
    benchmark that sends the same bytes again would measure the memory. Times change by less than ten minutes; the ids
    that `with_marked_ids` marked, and the hookInstance, end in the number of the call.
    """

    def __init__(self, request: bytes) -> None:
        request = _TIME.sub(rb"\1" + _CHANGING_TIME, request)
        request = request.replace(b"--" + NUMBER_MARK.encode(), b"--" + _CHANGING_NUMBER)
        self._request = _INSTANCE.sub(rb"\1" + _CHANGING_NUMBER, request)

    def next(self) -> bytes:
        """Return the bytes to send."""
        number = next(_numbers)
        request = self._request.replace(_CHANGING_TIME, b"%d:%02d" % divmod(number % 600, 60))
        return request.replace(_CHANGING_NUMBER, b"%07d" % (number % 10_000_000))


def request_bytes(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON to loopback, keep-alive."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def without_limits(service: dict[str, Any]) -> dict[str, Any]:
    """Return the discovery entry with templates that ask for every resource of their kind, not the newest so many.

    Results by name keep their number: they are not a page of a larger answer.
    """
    queries = service["prefetch"].items()
    return service | {
        "prefetch": {key: query if key == "namedResults" else _LIMIT.sub("", query) for key, query in queries}
    }


def with_marked_ids(request: dict[str, Any]) -> bytes:
    """Return the request with a number (`ChangingRequest`) behind the patient's id and references to it.

    So all that is about the patient differs from call to call, to the byte.
    """
    patient = request["context"]["patientId"]
    text = orjson.dumps(request).decode()
    for before in ('"', "Patient/"):
        text = text.replace(f'{before}{patient}"', f'{before}{patient}--{NUMBER_MARK}"')
    return text.encode()
