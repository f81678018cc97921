"""Sends the calls of the tester's page; what is known of each exchange: cards, silences, stages."""

import re
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

import httpx
import msgspec
import orjson
from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from cards.extension import EXTENSION_KEY
from cds_hooks.call import SENT_AS_TRIAL
from cds_hooks.decision_history import Card
from cds_hooks.hold_back.no_card import NoCard, explain_no_card
from cds_hooks.kit.simulator.request import outcome_text
from cds_hooks.pages.explain.recorded_decision import SentCard, sent_card
from cds_hooks.web.charts import StageChart, stage_chart
from fhir.record.refusals import WhyNot

_SECONDS: Final = 60.0
# The form carries the path back: it may lead to no other address.
_PATH: Final = re.compile(r"/cds-services/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}(?:/feedback)?")
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}
_SCOPE: Final = frozenset({"scope", "not-recognised"})


class _Ours(Struct):
    """What this server says beyond the protocol."""

    decision: str = ""
    silence: list[WhyNot] = []
    timings: dict[str, float] = {}


class _Answered(Struct):
    """An answer with cards."""

    cards: list[Card]
    extension: dict[str, Any] = {}


class Exchanged(Struct):
    """One call and its answer, as the page carries it from form to form.

    `body` is the answer's text, `seconds` the time to its last byte; `status` is 0 and `failure` says why where no
    answer came. `outcomes` say by the card's position what was done with it.
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
    outcomes: dict[int, str] = {}

    @property
    def document(self) -> Any:
        """The answer as JSON; None where it is none."""
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(self.body)
        return None

    @property
    def _answered(self) -> _Answered | None:
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(self.body, type=_Answered) if self.status == 200 else None
        return None

    @property
    def is_answered(self) -> bool:
        """Whether it is a 200 with a list of cards: only then is an empty list silence."""
        return self._answered is not None

    @property
    def cards(self) -> list[SentCard]:
        """The cards of the answer; none where it holds no list of cards."""
        answered = self._answered
        return [sent_card(card, lambda _: ()) for card in answered.cards] if answered is not None else []

    @property
    def ours(self) -> _Ours:
        """What this server says beyond the protocol; empty where it did not answer."""
        answered = self._answered
        return msgspec.convert((answered.extension if answered else {}).get(EXTENSION_KEY, {}), _Ours)

    @property
    def why_no_cards(self) -> str:
        """Why there is no answer with cards, as the server words it."""
        return self.failure or outcome_text(self.document)

    @property
    def scope(self) -> list[WhyNot]:
        """What was looked for."""
        return [silence for silence in self.ours.silence if silence.reason in _SCOPE]

    @property
    def unsaid(self) -> list[WhyNot]:
        """What was looked at and not shown."""
        return [silence for silence in self.ours.silence if silence.reason not in _SCOPE]

    @property
    def no_card(self) -> NoCard:
        """What an answer without a card means."""
        return explain_no_card(self.ours.silence)

    @property
    def stages(self) -> StageChart:
        """The stages that the server measured, then the rest: recording the decision and the way there and back."""
        measured, total = self.ours.timings, self.seconds * 1000
        rest = "Write the answer, record the decision, and the way there and back" if measured else "The whole call"
        return stage_chart(measured | {rest: max(0.0, total - sum(measured.values()))}, total)


async def post(app: ASGIApp, path: str, body: bytes, token: str = "") -> tuple[int, dict[str, str], str, float, str]:
    """Call this server in its own process.

    Returns:
        Status, headers, text of the body, seconds, and why there is no answer where there is none.
    """
    if not _PATH.fullmatch(path):
        return 0, {}, "", 0.0, "Not sent: this is not the path of a service"

    async def send_as_trial(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, SENT_AS_TRIAL: True}, receive, send)

    headers = _HEADERS | ({"authorization": f"Bearer {token}"} if token else {})
    transport = httpx.ASGITransport(app=send_as_trial, raise_app_exceptions=False)
    start = perf_counter()
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=_SECONDS) as client:
            answer = await client.post(path, content=body, headers=headers)
    except (httpx.HTTPError, ValueError) as error:  # such as a token with a character that no header takes
        return 0, {}, "", perf_counter() - start, f"No answer: {type(error).__name__}"
    return answer.status_code, dict(answer.headers), answer.text, perf_counter() - start, ""
