"""Who may open the tester's page behind a trust file, and what it makes of another server that answers anything."""

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token
from cds_hooks.package_tests.markup import faults
from tests.cds_hooks.calls import PLANNING, client
from tests.cds_hooks.pages.tester.pressing import Bench, opened
from tests.cds_hooks.web.decisions import AS_OF

OPERATOR = "operator-token-of-the-tests"
KEY = new_key("https://ehr.example")
TRUST = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["https://ehr.example"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
"""
HOSTILE = "<script>alert(1)</script>"


def _behind_a_trust_file(folder: Path) -> dict[str, Any]:
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    return {"trust_file": folder / "trust.toml", "operator_token": OPERATOR, "public_url": "http://127.0.0.1:8085"}


def test_behind_a_trust_file_the_page_is_for_the_operator_alone_also_where_decisions_are_for_everyone(
    tmp_path: Path,
) -> None:
    async def look() -> None:
        async with client(tmp_path, **_behind_a_trust_file(tmp_path), explain_pages="everyone") as calls:
            for path in ("/try", "/try/orders?q=naproxen"):
                assert (await calls.get(path)).status_code == 403
                assert (await calls.post(path)).status_code in (403, 405)
            assert "try" not in [link for link in (await calls.get("/")).text.split('"') if link == "try"]
            calls.headers["authorization"] = f"Bearer {OPERATOR}"
            page = await opened(calls)
            assert page.answer.status_code == 200
            assert "Open development profile" not in page.text

    asyncio.run(look())


def test_a_call_from_the_page_needs_the_token_of_a_client_which_is_never_written_back(tmp_path: Path) -> None:
    async def send() -> tuple[Bench, Bench, str]:
        async with client(tmp_path, **_behind_a_trust_file(tmp_path)) as calls:
            calls.headers["authorization"] = f"Bearer {OPERATOR}"
            refused = await (await opened(calls)).press("send")
            token = sign_token(KEY, f"http://127.0.0.1:8085/cds-services/{PLANNING}")
            return refused, await refused.press("send", token=token), token

    refused, answered, token = asyncio.run(send())
    assert "Answered with HTTP 401" in refused.text
    assert "people with results like these" in answered.text
    assert token not in answered.html
    assert OPERATOR not in answered.html


class _Anything(BaseHTTPRequestHandler):
    """Lists one service, and answers its calls with what no server should."""

    disable_nagle_algorithm = True
    answer: ClassVar[Any] = {}

    def do_GET(self) -> None:
        entry = {"id": "strange", "hook": "patient-view", "title": HOSTILE, "prefetch": {"patient": HOSTILE}}
        self._say({"services": [entry, HOSTILE, {"id": 7}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(self.answer)

    def _say(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", f"application/json; {HOSTILE}")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def strange() -> Iterator[str]:
    """The address of a server that answers anything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Anything) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        {"cards": [{"summary": HOSTILE, "indicator": HOSTILE, "source": HOSTILE, "uuid": HOSTILE, "links": [{}]}]},
        {"cards": [{"detail": HOSTILE, "source": {"label": HOSTILE, "url": "javascript:alert(1)"}, "indicator": 7}]},
        {"cards": [{"suggestions": [{"label": HOSTILE, "actions": [7, {"type": "create", "resource": HOSTILE}]}]}]},
        {"cards": [{"links": [{"label": HOSTILE, "url": "javascript:alert(1)", "type": "absolute"}], "extension": 7}]},
        {"cards": [7, None, [HOSTILE]], "extension": {"org.cds-hooks-onnx": {"silence": [7], "timings": HOSTILE}}},
        {
            "extension": {
                "org.cds-hooks-onnx": {"decision": 7, "silence": [{"text": HOSTILE}], "timings": {"x": HOSTILE}}
            }
        },
        {"issue": [{"details": HOSTILE}]},
        {"cards": [{"summary": "half a character \ud800", "indicator": "info", "source": {"label": "x"}}]},
        {"cards": [{"summary": "large", "extension": {"number": 10**400}}]},
        [HOSTILE],
        HOSTILE,
    ],
)
def test_whatever_another_server_answers_is_shown_as_text(tmp_path: Path, strange: str, answer: Any) -> None:
    _Anything.answer = answer

    async def send() -> Bench:
        async with client(tmp_path, as_of=AS_OF, try_servers=strange) as calls:
            page = await (await opened(calls)).press("build", server=strange)
            page = await page.press("send", server=strange, call="patient-view/strange")
            for button in (*page.buttons("accept:"), *page.buttons("dismiss:")):
                page = await page.press(button)
            return page

    page = asyncio.run(send())
    assert page.answer.status_code == 200
    assert "<script>alert" not in page.html
    assert 'href="javascript' not in page.html
    assert [each for each in faults(page.html) if "script" not in each and "try" not in each] == []


def test_a_server_that_the_setting_does_not_name_is_not_called(tmp_path: Path, strange: str) -> None:
    async def send() -> Bench:
        async with client(tmp_path, as_of=AS_OF) as calls:
            return await (await opened(calls)).press("send", server=strange)

    page = asyncio.run(send())
    assert "people with results like these" in page.text  # this server answered
    assert page.fields["server"] == ""
