"""What runs beside the calls for feeds: after a fault it goes on, and each case of what is due ends as it should."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cds_hooks.errors import BadRequest, CallTimedOut, RecordFailed
from cds_hooks.events import rescoring
from cds_hooks.events.declaration import (
    Declaration,
    Feed,
    MllpFeed,
    SubscriptionFeed,
    Webhook,
)
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.rescoring import Due, Rescoring
from cds_hooks.events.runner import Events
from cds_hooks.storage.decision import RecordUnavailable
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.logged import capture_logs


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    made = Inbox(tmp_path / "events.sqlite3")
    yield made
    made.close()


class Enough(Exception):
    """Ends what runs until it is cancelled."""


def _sleeping(monkeypatch: pytest.MonkeyPatch, module: Any, times: int) -> list[float]:
    """The seconds that a module sleeps, so often, and then it ends."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == times:
            raise Enough

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    return slept


# Rescoring


def _rescoring(inbox: Inbox, body: bytes | None = b"{}", *, recorded: bool = False) -> Rescoring:
    released = SimpleNamespace(current="released")
    computing = SimpleNamespace(is_large=lambda _size: False)
    components = SimpleNamespace(
        settings=SimpleNamespace(as_of=None), releases=released, computing=computing, predict=1
    )
    services = {"s": SimpleNamespace(answers=("patient-view",))}
    made = Rescoring(
        inbox, cast("Any", components), cast("Any", services), cast("Any", SimpleNamespace(name="events")),
        lambda: NOW, Declaration(),
    )  # fmt: skip
    changed = cast("Any", made)
    changed._body, changed._is_recorded = (lambda *_: body), (lambda _: recorded)
    return made


DUE = Due("p", "s", NOW - 60, 4)


def _invoked(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[Any]:
    calls: list[Any] = []

    async def invoke(call: Any, source: Any, _sink: Any) -> Any:
        calls.append((call, source))
        if isinstance(outcome, Exception):
            raise outcome
        return SimpleNamespace(selected=SimpleNamespace(worklist=outcome))

    monkeypatch.setattr(rescoring, "invoke", invoke)
    return calls


@pytest.mark.parametrize(
    ("outcome", "more", "calls", "ready", "kinds", "computed"),
    [
        ([], {}, 1, None, ["decision-made"], 1),
        (["x"], {}, 1, None, ["decision-made", "worklist-changed"], 1),
        ([], {"recorded": True}, 0, None, [], 0),
        ([], {"body": None}, 0, None, [], 0),
        (RecordFailed("x"), {}, 1, NOW + 30, [], 0),
        (CallTimedOut("x"), {}, 1, NOW + 30, [], 0),
        (BadRequest("x"), {}, 1, None, [], 0),
    ],
)
@run_async
async def test_what_is_due_is_settled_or_tried_again(
    outcome: Any, more: Any, calls: int, ready: float | None, kinds: list[str], computed: int, tmp_path: Path
) -> None:
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as connection:
        connection.execute("INSERT INTO due VALUES (?, ?, ?, ?, ?, ?)", ("p", "s", NOW - 60, NOW, NOW + 9, 4))
    made = _rescoring(inbox, **more)
    with pytest.MonkeyPatch.context() as patched, capture_logs() as lines:
        invoked = _invoked(patched, outcome)
        assert await made.compute_due() == 1
    assert inbox.query("SELECT ready FROM due") == ([(ready,)] if ready is not None else [])
    assert [kind for (kind,) in inbox.query("SELECT type FROM outbox ORDER BY sequence")] == kinds
    assert made.computed == computed
    assert len(invoked) == calls
    if invoked:
        ((call, source),) = invoked
        assert (call.decision_id, call.from_event, call.released) == (DUE.decision_id, True, "released")
        assert call.turn._client == "events"
        assert source.size == 2
    assert [(line["event"], line["service"], line["reason"]) for line in lines] == (
        [("event without an answer", "s", "BadRequest")] if isinstance(outcome, BadRequest) else []
    )
    inbox.close()


def test_computing_goes_on_at_once_after_fifty_and_after_a_fault_in_a_while(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Any = _rescoring(inbox)
    outcomes: list[Any] = [50, 49, RecordUnavailable("x"), OSError(), 50]
    marked: list[int] = []

    async def compute_due() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return int(outcome)

    made.compute_due = compute_due
    made._mark_withdrawn = lambda: marked.append(1)
    slept = _sleeping(monkeypatch, rescoring, 5)
    with capture_logs() as lines, pytest.raises(Enough):
        asyncio.run(made.keep_computing())
    assert slept == [0, 0.25, 0.25, 0.25, 0]
    assert len(marked) == 3
    assert [(line["level"], line["event"], line["error_type"]) for line in lines] == [
        ("error", "events cannot be computed", name) for name in ("RecordUnavailable", "OSError")
    ]


# What one worker runs


class Running(Events):
    """Events of a declaration, with listeners that a test sees."""

    def __init__(self, inbox: Inbox, declaration: Declaration) -> None:
        self.declaration, self.inbox, self._now = declaration, inbox, lambda: NOW
        self.ports = {}
        self.seen: list[tuple[str, str]] = []
        self._source = ""
        keeps = {"keep_computing": self._said("computing"), "keep_watching": self._said("watching")}
        self.rescoring = self.watch = cast("Any", SimpleNamespace(**keeps))
        filling = SimpleNamespace(keep_filling=lambda _now: self._said("filling")())
        self._subscribers = {"ehr": cast("Any", filling)}

    def _said(self, name: str) -> Callable[[], Any]:
        async def work() -> None:
            self.seen.append(("work", name))

        return work

    def _listener(self, feed: Any) -> Any:
        async def start() -> int:
            self.seen.append(("started", feed.name))
            return 2575

        async def stop() -> None:
            self.seen.append(("stopped", feed.name))

        return SimpleNamespace(start=start, stop=stop)


FEEDS: dict[str, Feed] = {
    "lab": MllpFeed(name="lab", listen="127.0.0.1:0"),
    "adt": MllpFeed(name="adt", listen="127.0.0.1:0"),
    "ehr": SubscriptionFeed(name="ehr", subscription="https://x/Subscription/1", topic="t"),
}


@run_async
async def test_one_worker_listens_computes_watches_and_sends(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "events.sqlite3")
    events: Any = Running(inbox, Declaration(feed=FEEDS, webhook={"hook": Webhook(url="https://x")}))
    works = events._works()
    assert [work.cr_code.co_name for work in works[:2]] == ["work"] * 2
    assert [cast("Any", work).__qualname__ for work in works[2:]] == [
        "Events._keep_forgetting", "Delivery.keep_sending", "Running._said.<locals>.work",
    ]  # fmt: skip
    for work in works:
        work.close()

    async def fails() -> None:
        raise OSError

    events._works = lambda: [events._said("all")(), fails()]
    with pytest.raises(ExceptionGroup):
        await events._run()
    assert events.seen == [
        ("started", "lab"), ("started", "adt"), ("work", "all"), ("stopped", "adt"), ("stopped", "lab"),
    ]  # fmt: skip
    inbox.close()
