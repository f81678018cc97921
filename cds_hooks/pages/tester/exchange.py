"""Sends the calls of the tester's page; what is known of each exchange: stages, silences, the kit's findings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import httpx
import orjson
from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from cards.extension import EXTENSION_KEY
from cds_hooks.call import SENT_AS_TRIAL
from cds_hooks.kit.contract.connection import Exchange, Purpose
from cds_hooks.kit.contract.document import MUST
from cds_hooks.kit.contract.registry import Row
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.run import judge_exchange
from cds_hooks.web.charts import Bar, Scale, format_ms, stage_bars, stage_words

_SECONDS: Final = 60.0
# The form carries the path back, and discovery of another server names ids: neither may lead to another address.
_PATH: Final = re.compile(r"/cds-services/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}(?:/feedback)?")
_MOST_ANSWER: Final = 16 * 1024 * 1024
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}


class Outcome(Struct):
    """What was done with a card: "accepted", "overridden" or "dismissed", and with what."""

    did: str
    what: str = ""


class Exchanged(Struct):
    """One call and its answer, as the page carries it from form to form.

    `body` is the answer's text, `seconds` the time to its last byte; `status` is 0 and `failure` says why where no
    answer came. `outcomes` are by the card's position.
    """

    service: str
    hook: str
    path: str
    patient: str
    status: int
    headers: dict[str, str]
    body: str
    seconds: float
    failure: str = ""
    outcomes: dict[int, Outcome] = {}

    @property
    def exchange(self) -> Exchange:
        """The same, as the contract kit judges it."""
        purpose = f"{self.hook} from the tester's page"
        body = self.body.encode()
        answer = (self.status, self.headers, body, self.seconds, self.failure, self.patient)
        return Exchange(purpose, Purpose.CALL, False, "POST", self.path, *answer)

    @property
    def document(self) -> Any:
        """The answer as JSON; None where it is none, or holds what no page can show (half characters)."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def cards(self) -> list[Any]:
        """The cards of the answer; none where it holds no list of cards."""
        cards = self.document.get("cards") if self.status == 200 and isinstance(self.document, dict) else None
        return cards if isinstance(cards, list) else []

    @property
    def is_answered(self) -> bool:
        """Whether it is a 200 with a list of cards: only then is an empty list silence."""
        document = self.document
        return self.status == 200 and isinstance(document, dict) and isinstance(document.get("cards"), list)

    @property
    def ours(self) -> Mapping[str, Any]:
        """What a server of this project says beyond the protocol; empty of any other."""
        extension = self.document.get("extension") if isinstance(self.document, dict) else None
        extension_part = extension.get(EXTENSION_KEY) if isinstance(extension, dict) else None
        return extension_part if isinstance(extension_part, dict) else {}

    @property
    def decision(self) -> str:
        """The id of the decision record; "" where the server says none."""
        our = self.ours.get("decision")
        return our if isinstance(our, str) else ""

    @property
    def why_no_cards(self) -> str:
        """Why there are no cards, as the server words it; "" where it answered with cards."""
        if self.failure:
            return self.failure
        issues = self.document.get("issue") if isinstance(self.document, dict) else None
        issue = issues[0] if isinstance(issues, list) and issues and isinstance(issues[0], dict) else {}
        details = issue.get("details")
        text = details.get("text") if isinstance(details, dict) else None
        return str(text or issue.get("diagnostics") or "")

    @property
    def silences(self) -> list[tuple[str, str, str]]:
        """What was looked at and not shown: subject, reason code, sentence."""
        reasons = self.ours.get("silence")
        rows = [reason for reason in reasons if isinstance(reason, dict)] if isinstance(reasons, list) else []
        return [(str(row.get("subject", "")), str(row.get("reason", "")), str(row.get("text", ""))) for row in rows]


class Sent(Struct):
    """Feedback that was sent, and its answer; `status` is 0 where none came."""

    path: str
    body: dict[str, Any]
    status: int
    failure: str = ""


class Caller:
    """Calls this server in its own process, or another one over HTTP."""

    def __init__(self, app: ASGIApp, server: str) -> None:
        """`server` is the base address of another server, "" for this one."""
        self._app = app
        self._server = server

    async def post(self, path: str, body: bytes, token: str = "") -> tuple[int, dict[str, str], str, float, str]:
        """Status, headers, text of the body, seconds, and why there is no answer where there is none."""
        if not _PATH.fullmatch(path):
            return 0, {}, "", 0.0, "Not sent: this is not the path of a service"
        headers = _HEADERS | ({"authorization": f"Bearer {token}"} if token else {})
        start = perf_counter()
        try:
            async with self._client() as client:
                answer = await client.post(path, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return 0, {}, "", perf_counter() - start, f"No answer: {type(error).__name__}"
        text = answer.content[:_MOST_ANSWER].decode("utf-8", "replace")
        return answer.status_code, dict(answer.headers), text, perf_counter() - start, ""

    async def discovery(self) -> list[dict[str, Any]]:
        """Return the entries of the other server's discovery; none where it does not answer as it should."""
        try:
            async with self._client() as client:
                answer = await client.get("/cds-services", headers={"accept": "application/json"})
                listed = answer.json().get("services")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError):
            return []
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        return [entry for entry in entries if isinstance(entry.get("id"), str) and isinstance(entry.get("hook"), str)]

    async def _send_as_trial(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, SENT_AS_TRIAL: True}, receive, send)

    def _client(self) -> httpx.AsyncClient:
        if not self._server:
            transport = httpx.ASGITransport(app=self._send_as_trial, raise_app_exceptions=False)
            return httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=_SECONDS)
        # no redirects: an address that the setting does not name is not called
        return httpx.AsyncClient(base_url=self._server, timeout=_SECONDS, trust_env=False, follow_redirects=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the checklist as it came out of an exchange."""

    row: Row
    sign: str
    word: str
    note: str


_SIGNS: Final = {
    Result.FAILED: ("critical", "broken"),
    Result.ADVICE: ("warning", "look"),
    Result.HELD: ("good", "holds"),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the contract kit says of one exchange: the rows that could be seen, the broken ones first."""

    findings: tuple[Finding, ...]

    @property
    def to_look_at(self) -> tuple[Finding, ...]:
        """Those that do not hold."""
        return tuple(finding for finding in self.findings if finding.sign != "good")

    @property
    def held(self) -> tuple[Finding, ...]:
        """Those that hold."""
        return tuple(finding for finding in self.findings if finding.sign == "good")


def judge(exchanged: Exchanged) -> Judgement:
    """Return the findings of the kit on one exchange."""
    report = judge_exchange(exchanged.exchange)
    notes = _notes(report)
    seen = [row for row in report.rows if row.result in _SIGNS]
    order = list(_SIGNS)
    seen.sort(key=lambda row: order.index(row.result))
    return Judgement(tuple(Finding(row.row, *_SIGNS[row.result], notes.get(row.row.id, "")) for row in seen))


def _notes(report: Report) -> dict[str, str]:
    notes: dict[str, str] = {}
    for finding in report.findings:
        first = finding.faults[0]
        words = " ".join(filter(None, (first.location, first.message)))
        level = "" if finding.level == MUST else "Advice: "
        times = f" ({finding.times} times)" if finding.times > 1 else ""
        notes.setdefault(finding.row.id, f"{level}{words}{times}")
    return notes


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Where the time of one call went; the stages are those that the server itself measured."""

    scale: Scale
    bars: tuple[Bar, ...]
    total: str


def waterfall(exchanged: Exchanged) -> Waterfall:
    """Return the stages in their order, then the rest: recording the decision and the way there and back."""
    total = exchanged.seconds * 1000
    timings = exchanged.ours.get("timings")
    measured = (
        {name: float(timing) for name, timing in timings.items() if isinstance(timing, int | float)}
        if isinstance(timings, dict)
        else {}
    )
    remainder = max(0.0, total - sum(measured.values()))
    words = "Write the answer, record the decision, and the way there and back" if measured else "The whole call"
    scale, bars = stage_bars(
        [*((stage_words(name), milliseconds) for name, milliseconds in measured.items()), (words, remainder)]
    )
    return Waterfall(scale, bars, format_ms(total))
