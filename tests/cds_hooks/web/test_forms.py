"""Forms with files are read as browsers send them; a part with an odd name is left out, and no part is a failure."""

import asyncio
import time

import pytest
from starlette.requests import Request

from cds_hooks.errors import BadRequest
from cds_hooks.web.forms import _parse_upload, read_form

TYPE = "multipart/form-data; boundary=----WebKitFormBoundaryAb1"


def _body(*parts: tuple[str, bytes]) -> bytes:
    lines = b"".join(
        b"------WebKitFormBoundaryAb1\r\nContent-Disposition: " + head.encode() + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return lines + b"------WebKitFormBoundaryAb1--\r\n"


def test_the_fields_and_the_file_of_a_browser_are_read() -> None:
    file = 'form-data; name="chart"; filename="chart.json"\r\nContent-Type: application/json'
    body = _body(('form-data; name="action"', b"send"), (file, '{"a": "é"}\r\n'.encode()), ('form-data; name="e"', b""))
    assert _parse_upload(TYPE, body) == {"action": "send", "chart": '{"a": "é"}\r\n', "e": ""}


@pytest.mark.parametrize("name", ["(" * 2000, '"' * 2000, "\\" * 2000, "a" * 2000, "", "=?utf-8?q?" * 300, "*0*=" * 99])
def test_a_part_with_an_odd_name_is_no_failure_and_takes_no_time(name: str) -> None:
    start = time.process_time()
    for written in (f'form-data; name="{name}"', f"form-data; name={name}", name, f"form-data; {name}"):
        fields = _parse_upload(TYPE, _body((written, b"x"), ('form-data; name="action"', b"send")))
        assert fields["action"] == "send"
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=", TYPE + "x"])
def test_a_form_that_is_not_whole_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest, match="whole"):
        _parse_upload(content_type, _body(('form-data; name="action"', b"send")))


def test_a_compressed_file_and_one_that_is_not_utf_8_are_refused() -> None:
    for content in (b"\x1f\x8b\x08", b"\xff\xfe"):
        with pytest.raises(BadRequest):
            _parse_upload(TYPE, _body(('form-data; name="chart"', content)))


def test_a_nul_which_a_database_does_not_take_is_refused() -> None:
    head = [(b"content-type", b"application/x-www-form-urlencoded")]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"name=u-operator%00", "more_body": False}

    request = Request({"type": "http", "method": "POST", "headers": head}, receive)
    with pytest.raises(BadRequest, match=r"U\+0000"):
        asyncio.run(read_form(request, 5, of_session=False))
