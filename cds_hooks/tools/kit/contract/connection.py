"""Sends requests to the server under test and keeps every exchange."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import inf
from threading import Event
from time import perf_counter, sleep
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from cds_hooks.tools.kit.contract.document import Document, Fault, Node, NotTested, parse_json
from cds_hooks.tools.kit.simulator.request import outcome_text
from cds_hooks.tools.kit.simulator.signing import SigningKey

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Purpose(StrEnum):
    """What a request was for."""

    DISCOVERY = "discovery"
    CALL = "call"
    FEEDBACK = "feedback"
    OTHER = "other"


@dataclass(frozen=True)
class Exchange:
    """A request in words (`title`), what kind of answer a good server gives it, and the answer that came.

    `status` is 0 and `failure` says why where no HTTP answer came. `seconds` is the time to the last byte.
    """

    title: str
    purpose: Purpose
    broken: bool
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    failure: str = ""
    patient: str = ""

    @property
    def name(self) -> str:
        """The request as a finding names it."""
        return f"{self.method} {self.path}: {self.title}"

    @property
    def ok(self) -> bool:
        """Whether the answer says success."""
        return 200 <= self.status < 300

    @cached_property
    def document(self) -> Document:
        """The answer's body, read as strict JSON."""
        return parse_json(self.body)

    @property
    def cards(self) -> list[Any] | None:
        """The cards of a 200; None where there is no such array."""
        value = self.document.value
        cards = value.get("cards") if self.status == 200 and isinstance(value, dict) else None
        return cards if isinstance(cards, list) else None

    @property
    def response(self) -> Node:
        """The response of a 200 with cards; else an empty one."""
        return Node(self.document.value if self.cards is not None else {})

    @property
    def actions(self) -> list[Node]:
        """The actions of all suggestions, and the system actions."""
        cards = self.response.objects("cards")
        suggestions = (suggestion for card in cards for suggestion in card.objects("suggestions"))
        actions = [action for suggestion in suggestions for action in suggestion.objects("actions")]
        return [*actions, *self.response.objects("systemActions")]

    @property
    def advice(self) -> Any:
        """What the cards say, for comparing two answers: without uuids, and without extension (it may hold a time)."""
        text = _UUID.sub("uuid", json.dumps(self.cards))
        return json.loads(text, object_hook=_without_extension)

    @property
    def statement(self) -> str:
        """All that the answer says, its extension too, for comparing two answers: without uuids, times and counts."""
        return re.sub(r"\d+", "0", _UUID.sub("uuid", json.dumps(self.document.value)))

    @property
    def answer(self) -> str:
        """The answer in a few words: the status and what the server says about it."""
        if not self.status:
            return f"no answer ({self.failure})"
        text = outcome_text(self.document.value)[:100]
        return f"answered {self.status}{f' ({text})' if text else ''}"

    def fault(self, message: str, location: str = "") -> Fault:
        """Return a fault in the answer to this request."""
        return Fault(message, location, self.name)


def _without_extension(value: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in ("uuid", "extension")}


JSON: Final = {"content-type": "application/json"}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PATIENCE: Final = 3  # times a request is sent again after 429
_GIVEN_UP: Final = 6  # requests in a row without an answer
_LONGEST_WAIT_SECONDS: Final = 10.0
_HEAD_START_SECONDS: Final = 0.1  # for the server to begin with what is half sent
_SHORTEST_TIMEOUT_SECONDS: Final = 0.05


@dataclass
class Connection:
    """Requests go one after another over kept-alive connections; redirects are not followed.

    After several requests in a row without an answer no more are sent: `send` then raises NotTested.

    `token` is sent as bearer. `token_command` is a program (a list of words) that prints a token for the URL put in
    place of `{url}`, and `signer` signs one for every request: for servers that take each token once only.
    """

    base: str
    timeout_seconds: float = 10.0
    token: str = ""
    token_command: tuple[str, ...] = ()
    signer: SigningKey | None = None
    deadline: float | None = None
    """When the run has to end, on the clock of `perf_counter`; no request is sent after it."""
    log: list[Exchange] = field(default_factory=list)
    _unanswered: int = 0

    def __post_init__(self) -> None:
        headers = {"accept": "application/json", "user-agent": "cds-hooks-contract-kit"}
        # Reading the certificates of all authorities takes longer than many a run; http needs none of them.
        verify = httpx.create_ssl_context() if self.base.startswith("https:") else False
        self._client = httpx.Client(timeout=self.timeout_seconds, trust_env=False, headers=headers, verify=verify)

    @property
    def authenticates(self) -> bool:
        """Whether requests carry a token."""
        return bool(self.token or self.token_command or self.signer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, title: str, purpose: Purpose = Purpose.OTHER, **more: Any) -> Exchange:
        """Send a GET."""
        return self.send("GET", path, title, purpose=purpose, **more)

    def post(self, path: str, body: Any, title: str, purpose: Purpose = Purpose.CALL, **more: Any) -> Exchange:
        """Send a POST of a document, or of bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        more["headers"] = JSON | (more.get("headers") or {})
        return self.send("POST", path, title, content=content, purpose=purpose, patient=_patient(body), **more)

    def send(
        self,
        method: str,
        path: str,
        title: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: Purpose = Purpose.OTHER,
        broken: bool = False,
        authenticated: bool = True,
        patient: str = "",
    ) -> Exchange:
        """Send one request and log the exchange; a 429 is waited out. A header with an empty value is not sent."""
        timeout = min(self.timeout_seconds, self._seconds_left())
        request = self._client.build_request(method, f"{self.base}{path}", content=content, timeout=timeout)
        token = self.bearer(path) if authenticated else ""
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
            sleep(min(_wait(answered), self._seconds_left()))
        if not status:
            self._seconds_left()  # the run's own limit ended the wait: that is no fault of the server
        self._unanswered = 0 if status else self._unanswered + 1
        exchange = Exchange(title, purpose, broken, method, path, status, answered, body, seconds, failure, patient)
        self.log.append(exchange)
        return exchange

    def _answer(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes, float, str]:
        start = perf_counter()
        try:
            response = self._sent(request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return 0, {}, b"", perf_counter() - start, _failure(error)
        return response.status_code, response.headers, response.content, perf_counter() - start, ""

    def _sent(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A server may close a kept-alive connection just when it is used again: that is no fault of its own.
            return self._client.send(request)

    def _seconds_left(self) -> float:
        seconds = inf if self.deadline is None else self.deadline - perf_counter()
        if seconds < _SHORTEST_TIMEOUT_SECONDS:
            raise NotTested("the time limit was reached")
        return seconds

    @contextmanager
    def held_open(self, path: str) -> Iterator[None]:
        """Keep a POST to this path half sent while the block runs: its headers and the first byte of its body."""
        released = Event()

        def body() -> Iterator[bytes]:
            yield b"{"
            released.wait()

        token = self.bearer(path)
        headers = JSON | ({"authorization": f"Bearer {token}"} if token else {})
        with ThreadPoolExecutor(1) as pool:
            pool.submit(self._client.post, f"{self.base}{path}", content=body(), headers=headers)
            sleep(_HEAD_START_SECONDS)
            try:
                yield
            finally:
                released.set()

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine."""
        return urlsplit(self.base).hostname in _LOOPBACK

    def bearer(self, path: str) -> str:
        """Return the token for a request to this path; empty where there is none."""
        if self.signer is not None:
            return self.signer.token(f"{self.base}{path}")
        if not self.token_command:
            return self.token
        words = [word.replace("{url}", f"{self.base}{path}") for word in self.token_command]
        # The tester's own program, named on the tester's command line.
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return done.stdout.strip()


def _patient(body: Any) -> str:
    context = body.get("context") if isinstance(body, dict) else None
    patient = context.get("patientId") if isinstance(context, dict) else None
    return patient if isinstance(patient, str) else ""


_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ?")


def _wait(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "1")
    return min(float(text), _LONGEST_WAIT_SECONDS) if text.isdecimal() else 1.0


def _failure(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    return _ERROR_NUMBER.sub("", str(error)) or type(error).__name__
