"""What the edge to brokers asks of each library: addresses, subscriptions, publishing; a broker that fails comes again.

The libraries are no part of the quick tests: fakes write down what is asked of them.
"""

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cds_hooks.events import brokers
from cds_hooks.events.brokers import BrokerListener, Publisher, open_broker
from cds_hooks.events.declaration import BrokerFeed
from tests.cds_hooks.events.messages import run_async
from tests.cds_hooks.logged import capture_logs

HEADERS = {"content-type": "application/cloudevents+json"}
QUIET = {"logger": None, "apply_types": False}


class Call:
    """What something was called with; equal where that is equal."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.all = (name, arguments, options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Call) and self.all == other.all

    def __hash__(self) -> int:
        return hash(self.all[0])

    def __repr__(self) -> str:
        return repr(self.all)


class Broker(Call):
    """A broker that writes down what is asked of it; `failures` attempts to start fail."""

    failures = 0
    made: list["Broker"]

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        super().__init__(name, *arguments, **options)
        self.asked: list[Call] = []
        self.subscribers: list[Any] = []
        Broker.made.append(self)

    def subscriber(self, *arguments: Any, **options: Any) -> Any:
        """Write down a subscription."""
        self.asked.append(Call("subscriber", *arguments, **options))
        self.subscribers.append(SimpleNamespace(running=True))
        return lambda take: self.asked.append(Call("take", take))

    async def start(self) -> None:
        """Fail as often as planned."""
        if Broker.failures:
            Broker.failures -= 1
            raise OSError("refused")
        self.asked.append(Call("start"))

    async def connect(self) -> None:
        """Write it down."""
        self.asked.append(Call("connect"))

    async def publish(self, *arguments: Any, **options: Any) -> None:
        """Write down what is published."""
        self.asked.append(Call("publish", *arguments, **options))

    async def stop(self) -> None:
        """Write it down, then fail as a broken connection does."""
        self.asked.append(Call("stop"))
        raise OSError("broken")


async def _none_waiting(_: object) -> int:
    return 0


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastStream and its libraries as fakes, and no time to wait."""
    names = {
        "faststream": {"AckPolicy": SimpleNamespace(NACK_ON_ERROR="again")},
        "faststream.nats": ("NatsBroker", "JStream", "PullSub"),
        "faststream.rabbit": ("RabbitBroker", "RabbitQueue"),
        "faststream.redis": ("RedisBroker", "StreamSub"),
        "faststream.confluent": ("KafkaBroker",),
    }
    for module, members in names.items():
        fake: Any = ModuleType(module)
        for name in members:
            kind = Broker if name.endswith("Broker") else Call
            made = (
                members[name]
                if isinstance(members, dict)
                else lambda *a, kind=kind, name=name, **o: kind(name, *a, **o)
            )
            setattr(fake, name, made)
        monkeypatch.setitem(sys.modules, module, fake)
    Broker.made, Broker.failures = [], 0
    monkeypatch.setattr(brokers, "_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(brokers, "waiting_at", _none_waiting)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("nats://n:4222", Call("NatsBroker", "nats://n:4222", max_reconnect_attempts=-1, **QUIET)),
        ("tls://n:4222", Call("NatsBroker", "tls://n:4222", max_reconnect_attempts=-1, **QUIET)),
        ("amqp://r", Call("RabbitBroker", "amqp://r", **QUIET)),
        ("amqps://r", Call("RabbitBroker", "amqps://r", **QUIET)),
        ("redis://d", Call("RedisBroker", "redis://d", **QUIET)),
        ("rediss://d", Call("RedisBroker", "rediss://d", **QUIET)),
        ("kafka://k:9092", Call("KafkaBroker", "k:9092", **QUIET)),
    ],
)
def test_the_scheme_of_an_address_says_which_broker_is_opened(url: str, broker: Call) -> None:
    assert open_broker(url).all == broker.all


def feed(url: str) -> BrokerFeed:
    """A feed at this address."""
    return BrokerFeed(name="lab", url=url, subject="feeds.lab", stream="EVENTS", authority="SOUTH")


@pytest.mark.parametrize(
    ("url", "subscribed"),
    [
        (
            "nats://n",
            [
                Call(
                    "subscriber",
                    "feeds.lab",
                    durable="cds-hooks",
                    stream=Call("JStream", "EVENTS", declare=False),
                    pull_sub=Call("PullSub", batch_size=100),
                )
            ],
        ),
        ("amqps://r", [Call("subscriber", Call("RabbitQueue", "feeds.lab", durable=True))]),
        (
            "rediss://d",
            [
                Call("subscriber", stream=Call("StreamSub", "feeds.lab", group="cds-hooks", consumer="lab", **more))
                for more in ({"last_id": ">"}, {"min_idle_time": 30_000, "last_id": "0"})
            ],
        ),
        ("kafka://k", [Call("subscriber", "feeds.lab", group_id="cds-hooks", auto_offset_reset="earliest")]),
    ],
)
def test_each_broker_delivers_again_what_failed(url: str, subscribed: list[Call]) -> None:
    broker, taken = Broker("any"), object()
    brokers._subscribe(broker, feed(url), taken)  # type: ignore[arg-type]
    expected: list[Call] = []
    for call in subscribed:
        name, arguments, options = call.all
        more = {"ack_policy": "again", "decoder": brokers._whole}
        expected += [Call(name, *arguments, **more, **options), Call("take", taken)]
    assert broker.asked == expected


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        ({"data": {b"x": b"of others"}}, b"of others"),
        ({"data": {}}, b""),
        ({"data": {b"__data__": b"of FastStream"}}, "the body"),
        ({"data": b"no entry"}, "the body"),
        ({}, "the body"),
        (b"bytes", "the body"),
    ],
)
@run_async
async def test_the_bytes_of_a_message_are_taken_as_they_came(raw: Any, whole: Any) -> None:
    assert await brokers._whole(SimpleNamespace(raw_message=raw, body="the body")) == whole


@pytest.mark.parametrize(
    ("url", "key", "published"),
    [
        ("tls://n", "p1", {"headers": HEADERS | {"Nats-Msg-Id": "e1"}, "stream": "EVENTS"}),
        ("nats://n", "p1", {"headers": HEADERS | {"Nats-Msg-Id": "e1"}, "stream": "EVENTS"}),
        ("amqp://r", "p1", {"headers": HEADERS, "persist": True, "message_id": "e1"}),
        ("kafka://k", "p1", {"headers": HEADERS, "key": b"p1"}),
        ("kafka://k", "", {"headers": HEADERS, "key": None}),
    ],
)
@run_async
async def test_an_event_is_published_as_each_broker_wants_it(url: str, key: str, published: dict[str, Any]) -> None:
    publisher = Publisher(url, "events.cds", "EVENTS")
    await publisher.publish(b"{}", "e1", key)
    await publisher.publish(b"{}", "e1", key)
    (broker,) = Broker.made
    call = Call("publish", b"{}", "events.cds", correlation_id="e1", **published)
    assert broker.asked == [Call("connect"), call, call]
    await publisher.close()
    await publisher.close()
    assert broker.asked[3:] == [Call("stop")]
    await publisher.publish(b"{}", "e2", key)
    assert len(Broker.made) == 2


@run_async
async def test_an_event_for_redis_goes_into_its_stream() -> None:
    publisher = Publisher("redis://d", "events.cds", "")
    await publisher.publish(b"{}", "e1", "p1")
    call = Call("publish", b"{}", stream="events.cds", headers=HEADERS, correlation_id="e1")
    assert Broker.made[0].asked == [Call("connect"), call]


async def _nothing(_: object) -> Any:
    return []


@run_async
async def test_a_broker_that_is_down_is_tried_again_and_one_whose_group_is_gone_is_opened_anew() -> None:
    Broker.failures = 2
    listener = BrokerListener(feed("nats://n"), _nothing, lambda: 1.0)
    with capture_logs() as lines:
        assert await listener.start() == 0
        while len(Broker.made) < 3 or Call("start") not in Broker.made[-1].asked:
            await asyncio.sleep(0)
    assert [line["event"] for line in lines].count("broker not reached") == 1  # once, until it is there
    assert [Call("stop") in broker.asked for broker in Broker.made] == [True, True, False]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(Broker.made) == 3  # it runs
    Broker.made[-1].subscribers[0].running = False
    while len(Broker.made) < 4:
        await asyncio.sleep(0)
    assert Broker.made[2].asked[-1] == Call("stop")
    await listener.stop()
    assert Broker.made[3].asked[-1] == Call("stop")
    await BrokerListener(feed("nats://n"), _nothing, lambda: 1.0).stop()


@run_async
async def test_a_broker_that_goes_away_or_is_waited_for_without_a_word_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[int | OSError] = [0, OSError(), OSError(), 3, OSError(), OSError()]
    noted: list[int] = []

    async def waiting(_: object) -> int:
        answer = answers.pop(0) if answers else 0
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(brokers, "waiting_at", waiting)
    monkeypatch.setattr(brokers, "_LAG_TURNS", 1)
    listener = BrokerListener(feed("nats://n"), _nothing, lambda: 1.0, lambda _feed, count: noted.append(count))
    with capture_logs() as lines:
        await listener.start()
        while answers:
            await asyncio.sleep(0)
        await listener.stop()
    assert [line["event"] for line in lines] == ["feed listens", "broker not reached", "broker not reached"]
    assert noted[:2] == [0, 3]
    monkeypatch.setattr(brokers, "_START_SECONDS", 0.0)
    monkeypatch.setattr(Broker, "start", lambda _: asyncio.sleep(60))
    listener = BrokerListener(feed("nats://n"), _nothing, lambda: 1.0)
    with capture_logs() as lines:
        await listener.start()
        while not lines:
            await asyncio.sleep(0)
        await listener.stop()
    assert [(line["event"], line["error_type"]) for line in lines] == [("broker not reached", "TimeoutError")]


@run_async
async def test_only_redis_has_a_group_to_make(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    async def make(group_of: BrokerFeed) -> None:
        made.append(group_of.url)

    monkeypatch.setattr(brokers, "_make_group", make)
    for url in ("redis://d", "rediss://d", "nats://n", "kafka://k"):
        listener = BrokerListener(feed(url), _nothing, lambda: 1.0)
        await listener.start()
        while not Broker.made or Call("start") not in Broker.made[-1].asked:
            await asyncio.sleep(0)
        await listener.stop()
        Broker.made = []
    assert made == ["redis://d", "rediss://d"]


@run_async
async def test_a_message_that_is_not_stored_is_refused_so_that_it_comes_again() -> None:
    stored: list[Any] = []

    async def store(messages: list[Any]) -> Any:
        stored.extend(messages)
        if len(stored) > 1:
            raise OSError("the disk is full")

    listener = BrokerListener(feed("nats://n"), store, lambda: 7.0)
    await listener._store(b"no HL7")
    assert [(message.source, message.content, message.received_at) for message in stored] == [("lab", b"no HL7", 7.0)]
    with pytest.raises(OSError, match="the disk is full"):
        await listener._store(b"no HL7")


@run_async
async def test_the_group_of_a_redis_stream_reads_from_its_first_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Call] = []

    class Client:
        """A client whose group is there already."""

        async def __aenter__(self) -> "Client":
            return self

        async def __aexit__(self, *_: object) -> None:
            asked.append(Call("close"))

        async def xgroup_create(self, *arguments: Any, **options: Any) -> None:
            """Write it down and say that it is there."""
            asked.append(Call("create", *arguments, **options))
            raise ValueError

    def from_url(url: str) -> Client:
        asked.append(Call("open", url))
        return Client()

    for name, members in {
        "redis": {},
        "redis.asyncio": {"from_url": from_url},
        "redis.exceptions": {"ResponseError": ValueError},
    }.items():
        module: Any = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    await brokers._make_group(feed("redis://d"))
    create = Call("create", "feeds.lab", "cds-hooks", id="0", mkstream=True)
    assert asked == [Call("open", "redis://d"), create, Call("close")]
