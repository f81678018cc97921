"""Sends requests to the server under test and keeps every exchange."""

import json
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from cds_hooks.contract.exchange import Exchange, Purpose
from cds_hooks.contract.finding import NotTested
from cds_hooks.contract.signer import Signer

JSON: Final = {"content-type": "application/json"}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PATIENCE: Final = 3  # times a request is sent again after 429
_GIVEN_UP: Final = 6  # requests in a row without an answer
_LONGEST_WAIT_SECONDS: Final = 10.0


class Connection:
    """Requests go one after another over kept-alive connections; redirects are not followed.

    After several requests in a row without an answer no more are sent: `send` then raises NotTested.

    `token` is sent as bearer. `token_command` is a program (a list of words) that prints a token for the URL put in
    place of `{url}`, and `signer` signs one for every request: for servers that take each token once only. `authority`
    is a file with the certificate of an authority to trust besides the public ones; OSError or ssl.SSLError where it
    cannot be used.
    """

    def __init__(
        self,
        base: str,
        timeout_seconds: float = 10.0,
        token: str = "",
        token_command: tuple[str, ...] = (),
        authority: Path | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.base = base
        self.signer = signer
        self.token = token
        self.token_command = token_command
        self.log: list[Exchange] = []
        headers = {"accept": "application/json", "user-agent": "cds-hooks-contract-kit"}
        self._unanswered = 0
        # Reading the certificates of all authorities takes longer than many a run; http needs none of them.
        verify = _trusted(authority) if base.startswith("https:") else False
        self._client = httpx.Client(timeout=timeout_seconds, trust_env=False, headers=headers, verify=verify)

    @property
    def authenticates(self) -> bool:
        """Whether requests carry a token."""
        return bool(self.token or self.token_command or self.signer)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get(self, path: str, what: str, purpose: Purpose = Purpose.OTHER, **more: Any) -> Exchange:
        """One GET."""
        return self.send("GET", path, what, purpose=purpose, **more)

    def post(self, path: str, body: Any, what: str, purpose: Purpose = Purpose.CALL, **more: Any) -> Exchange:
        """One POST of a document, or of bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        more["headers"] = JSON | (more.get("headers") or {})
        return self.send("POST", path, what, content=content, purpose=purpose, patient=_patient(body), **more)

    def send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: Purpose = Purpose.OTHER,
        broken: bool = False,
        authenticated: bool = True,
        patient: str = "",
    ) -> Exchange:
        """One exchange, logged; a header whose value is empty is not sent. A 429 is waited out and tried again."""
        request = self._client.build_request(method, f"{self.base}{path}", content=content)
        token = self.bearer(path) if authenticated and self.authenticates else ""
        for name, value in ({"authorization": f"Bearer {token}" if token else ""} | dict(headers or {})).items():
            if value:
                request.headers[name] = value
            else:
                request.headers.pop(name, None)
        if self._unanswered >= _GIVEN_UP:
            raise NotTested("the server no longer answers")
        for _ in range(_PATIENCE):
            status, answered, body, seconds, failure = self._answer(request)
            if status != 429:
                break
            sleep(_wait(answered))
        self._unanswered = 0 if status else self._unanswered + 1
        exchange = Exchange(what, purpose, broken, method, path, status, answered, body, seconds, failure, patient)
        self.log.append(exchange)
        return exchange

    def _answer(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes, float, str]:
        start = perf_counter()
        try:
            response = self._sent(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, {}, b"", perf_counter() - start, _said(error)
        return response.status_code, response.headers, response.content, perf_counter() - start, ""

    def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A server may close a kept-alive connection just when it is used again: that is no fault of its own.
            return self._client.send(request)

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return urlsplit(self.base).hostname in _LOOPBACK

    def bearer(self, path: str) -> str:
        """The token for a request to this path; empty where there is none."""
        if self.signer is not None:
            return self.signer.token(f"{self.base}{path}")
        if not self.token_command:
            return self.token
        words = [word.replace("{url}", f"{self.base}{path}") for word in self.token_command]
        # The tester's own program, named on the tester's command line.
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return done.stdout.strip()


def _trusted(authority: Path | None) -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    if authority is not None:
        context.load_verify_locations(authority)
    return context


def _patient(body: Any) -> str:
    context = body.get("context") if isinstance(body, dict) else None
    patient = context.get("patientId") if isinstance(context, dict) else None
    return patient if isinstance(patient, str) else ""


def _wait(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "1")
    return min(float(text), _LONGEST_WAIT_SECONDS) if text.isdigit() else 1.0


def _said(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    return str(error) or type(error).__name__
