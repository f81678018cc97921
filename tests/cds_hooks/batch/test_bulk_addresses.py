"""Which addresses a bulk export calls, how they are read from a list of files, and what is said of the others."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from cds_hooks.batch.bulk_manifest import (
    EXPIRED,
    OF_FILE,
    OF_KICK_OFF,
    BulkRefused,
    absolute,
    errors_in,
    is_whole,
    read_manifest,
    refuse_address,
    refuse_status,
)
from models_onnx.errors import BatchRefused

BASE = "https://fhir.example/r4"
NONE = "An address that this server names is none: the export ends here."
NO_LIST = "The server's list of files cannot be read: each of its output needs type and url."


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://fhir.example/r4/status/1", BASE),
        ("https://files.example:8443/1.ndjson?signed=a@b", BASE),
        ("HTTPS://FILES.example/@1", BASE),
        ("https://localhost/1", BASE),
        ("https://files.example/1", "http://localhost:8000"),
        ("https://files.example:65535/1", BASE),
        ("http://localhost:1/1", "http://localhost:8000/fhir"),
        ("http://127.0.0.1/1", "http://127.0.0.1:8000"),
        ("http://[::1]:9/1", "http://[::1]/fhir"),
    ],
)
def test_https_is_called_and_http_from_http_on_the_same_host_of_this_machine(url: str, base: str) -> None:
    refuse_address(url, base)


@pytest.mark.parametrize(
    ("url", "base", "where"),
    [
        ("http://fhir.example/1", "http://fhir.example", "http://fhir.example"),
        ("http://localhost/1", BASE, "http://localhost"),
        ("http://localhost/1", "http://127.0.0.1", "http://localhost"),
        ("http://127.0.0.1/1", "http://localhost", "http://127.0.0.1"),
        ("http://localhost/1", "https://localhost", "http://localhost"),
        ("http://127.0.0.2/1", "http://127.0.0.2", "http://127.0.0.2"),
        ("ftp://localhost/1", "ftp://localhost", "ftp://localhost"),
        ("https://name@fhir.example/1", BASE, "https://fhir.example"),
        ("https://name:word@fhir.example/1", BASE, "https://fhir.example"),
        ("https://:word@fhir.example/1", BASE, "https://fhir.example"),
        ("https://@fhir.example/1", BASE, "https://fhir.example"),
        ("http://:word@localhost/1", "http://localhost", "http://localhost"),
        ("https:///1", BASE, "no address"),
        ("/1.ndjson", BASE, "no address"),
        ("", BASE, "no address"),
    ],
)
def test_what_is_not_called_is_named_without_its_password_and_path(url: str, base: str, where: str) -> None:
    with pytest.raises(BulkRefused) as refused:
        refuse_address(url, base)
    assert str(refused.value) == f"{where} is not called: an export needs https (http only on this machine)."
    assert isinstance(refused.value, BatchRefused)


@pytest.mark.parametrize(
    "url",
    [
        "https://[",
        "https://fhir.example:x/1",
        "https://fhir.example:65536/1",
        "https://fhir.example/\x00",
        "https://fhir..example/1",
        f"https://{'f' * 64}.example/1",
    ],
)
def test_what_is_no_address_is_refused_before_it_is_called(url: str) -> None:
    with pytest.raises(BulkRefused) as refused:
        refuse_address(url, BASE)
    assert str(refused.value) == NONE


def test_an_address_may_be_written_from_that_of_the_list_on() -> None:
    status = "https://fhir.example/r4/status/1"
    assert absolute(status, "files/1.ndjson") == "https://fhir.example/r4/status/files/1.ndjson"
    assert absolute(status, "/files/1.ndjson") == "https://fhir.example/files/1.ndjson"
    assert absolute(status, "//files.example/1.ndjson") == "https://files.example/1.ndjson"
    assert absolute(status, "http://files.example/1") == "http://files.example/1"
    assert absolute(status, 7) == "https://fhir.example/r4/status/7"
    assert absolute(status, "https://[") == "https://["


def _answer(content: Any, status_code: int = 200) -> httpx.Response:
    request = httpx.Request("GET", "https://fhir.example/r4/status/1?secret=2")
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return httpx.Response(status_code, content=body, request=request)


def test_a_list_of_files_is_read_with_whole_addresses_and_without_entries_of_no_type() -> None:
    document = {
        "transactionTime": "2026-11-20T09:00:00Z", "requiresAccessToken": True,
        "output": [{"type": "Patient", "url": "1.ndjson", "count": 2}, {"type": "", "url": "2.ndjson"},
                   {"type": "Condition", "url": "https://files.example/3.ndjson"}],
        "error": [{"type": "OperationOutcome", "url": "/4"}], "deleted": None,
    }  # fmt: skip
    assert read_manifest(_answer(document), "https://fhir.example/r4/status/1") == {
        "transactionTime": "2026-11-20T09:00:00Z", "requiresAccessToken": True,
        "output": [{"type": "Patient", "url": "https://fhir.example/r4/status/1.ndjson", "count": 2},
                   {"type": "Condition", "url": "https://files.example/3.ndjson"}],
        "error": [{"type": "OperationOutcome", "url": "https://fhir.example/4"}], "deleted": [],
    }  # fmt: skip
    assert read_manifest(_answer({"output": []}), BASE) == {"output": [], "error": [], "deleted": []}


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"",
        {},
        {"output": None},
        {"output": [{"type": "Patient"}]},
        {"output": [{"url": "1"}]},
        {"output": ["Patient"]},
        {"output": [], "error": [{"type": "OperationOutcome"}]},
        {"output": [], "deleted": [{"url": "1"}]},
        ["Patient"],
    ],
)
def test_what_is_no_list_of_files_is_refused(content: Any) -> None:
    with pytest.raises(BulkRefused) as refused:
        read_manifest(_answer(content), BASE)
    assert str(refused.value) == NO_LIST


def test_a_status_that_is_not_allowed_is_said_with_its_step_and_with_what_to_do() -> None:
    refuse_status(_answer(b"", 202), (200, 202))
    with pytest.raises(BulkRefused) as refused:
        refuse_status(_answer(b"", 500), (200, 202), OF_FILE)
    assert str(refused.value) == "GET /r4/status/1 was answered with 500: the export ends here."
    with pytest.raises(BulkRefused) as refused:
        refuse_status(_answer(b"", 410), (200,), OF_FILE)
    assert str(refused.value) == (
        "GET /r4/status/1 was answered with 410: the export ends here. A fresh list of files did not help. "
        "What is here stays: type the command again later."
    )


# What a bulk export answers: which files are whole, which lines are errors, and what is said of a status.


LINES = b'{"resourceType":"Patient","id":"1"}\n\n{"resourceType":"Patient","id":"2"}\n'


@pytest.mark.parametrize(
    ("content", "count", "whole"),
    [
        (LINES, 2, True),
        (LINES, None, True),
        (LINES, 1, False),
        (LINES, 3, False),
        (LINES[:-3], 2, False),
        (b"\xef\xbb\xbf " + LINES, 2, True),
        (b"", 0, True),
        (b"", 1, False),
        (b"", None, True),
    ],
)
def test_a_file_is_whole_with_its_last_line_and_as_many_as_the_server_says(
    content: bytes, count: int | None, whole: bool, tmp_path: Path
) -> None:
    part = tmp_path / "Patient.ndjson.part"
    part.write_bytes(content)
    assert is_whole(part, count) is whole


def test_errors_are_counted_and_what_is_merely_said_is_not(tmp_path: Path) -> None:
    path = tmp_path / "errors.ndjson.txt"
    severities = [["fatal"], ["error"], ["warning"], ["information", "error"], []]
    lines = [
        '{"resourceType":"OperationOutcome","issue":['
        + ",".join(f'{{"severity":"{severity}"}}' for severity in issues)
        + "]}"
        for issues in severities
    ]
    path.write_text("\n".join([*lines, "", "no JSON", '{"issue":[{}]}', '{"resourceType":"OperationOutcome"}']) + "\n")
    assert errors_in(path) == 6, "three with an error, and three lines that cannot be read as outcomes"


def test_each_status_of_the_question_and_of_a_file_says_what_to_do() -> None:
    assert {status: text.partition(":")[0] for status, text in OF_KICK_OFF.items()} == {
        400: "The server does not take the question",
        401: "The server asks for a token",
        403: "This client may not export",
        404: "The server offers no such export, or has no such Group",
    }
    assert set(OF_FILE) == set(EXPIRED) == {401, 403, 404, 410}
    assert set(OF_FILE.values()) == {
        "A fresh list of files did not help. What is here stays: type the command again later."
    }
