"""The edge to a message broker: HL7 v2 messages in, events out, by FastStream (NATS JetStream, RabbitMQ, Redis, Kafka).

A message is acknowledged when it is on the disk of the inbox. What is delivered again has no second effect there, and
the order of a patient's facts is that of the sender's clock, so neither depends on the broker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from cds_hooks.add_ons.events.declaration import BrokerFeed
from cds_hooks.add_ons.events.inbox import Incoming, Taken
from cds_hooks.add_ons.events.v2.intake import read_frame
from cds_hooks.telemetry.logs import log

_AGAIN_SECONDS: Final = 2.0
_LAG_TURNS: Final = 15
_LAG_SECONDS: Final = 5.0
_START_SECONDS: Final = 15.0
"""FastStream goes on trying to reach NATS and Kafka without a word: after so long they are said to be away."""
_REDELIVER_MILLISECONDS: Final = 30_000
"""What a consumer of a Redis stream did not acknowledge for so long is read again."""
_FIELD: Final = b"__data__"
"""The field of a Redis entry in which FastStream writes; of other writers the first field is read."""


_FOR_EVER: Final = -1
_ONE_MORE: Final = 1


def open_broker(url: str, again: int = _FOR_EVER) -> Any:
    """Return a broker that is not connected yet, by the scheme of its address.

    `again` is how often a client of NATS tries to connect after the first time before it gives up.
    """
    quiet: dict[str, Any] = {"logger": None, "apply_types": False}
    parts = urlsplit(url)
    if parts.scheme in ("nats", "tls"):
        from faststream.nats import NatsBroker

        return NatsBroker(url, max_reconnect_attempts=again, **quiet)
    if parts.scheme in ("amqp", "amqps"):
        from faststream.rabbit import RabbitBroker

        return RabbitBroker(url, **quiet)
    if parts.scheme in ("redis", "rediss"):
        from faststream.redis import RedisBroker

        return RedisBroker(url, **quiet)
    from faststream.confluent import KafkaBroker

    return KafkaBroker(parts.netloc, **quiet)


def _subscribe(broker: Any, feed: BrokerFeed, take: Callable[[Any], Awaitable[None]]) -> None:
    """Have each message handed to `take`; one for which it fails is delivered again."""
    from faststream import AckPolicy

    scheme, name, policy = urlsplit(feed.url).scheme, feed.subject, AckPolicy.NACK_ON_ERROR
    options: list[tuple[Any, dict[str, Any]]]
    if scheme in ("nats", "tls"):
        from faststream.nats import JStream, PullSub

        stream = JStream(feed.stream, declare=False)
        options = [(name, {"durable": feed.group, "stream": stream, "pull_sub": PullSub(batch_size=100)})]
    elif scheme in ("amqp", "amqps"):
        from faststream.rabbit import RabbitQueue

        options = [(RabbitQueue(name, durable=True), {})]
    elif scheme in ("redis", "rediss"):
        from faststream.redis import StreamSub

        both = {"group": feed.group, "consumer": feed.name}
        # "0": FastStream makes a group that was lost after the first began again with what waits in the stream
        again = StreamSub(name, min_idle_time=_REDELIVER_MILLISECONDS, last_id="0", **both)
        options = [(None, {"stream": stream}) for stream in (StreamSub(name, last_id=">", **both), again)]
    else:
        options = [(name, {"group_id": feed.group, "auto_offset_reset": "earliest"})]
    for where, more in options:
        broker.subscriber(*([where] if where is not None else []), ack_policy=policy, decoder=_whole, **more)(take)


async def _make_group(feed: BrokerFeed) -> None:
    """Make the group of a Redis stream, which reads from the first entry: that of FastStream leaves out what waits."""
    from redis.asyncio import from_url
    from redis.exceptions import ResponseError

    async with from_url(feed.url) as client:
        with suppress(ResponseError):  # it is there
            await client.xgroup_create(feed.subject, feed.group, id="0", mkstream=True)


async def _whole(message: Any) -> Any:
    """Return the bytes of a message as they came, whatever their writer says that they are."""
    entry = message.raw_message.get("data") if isinstance(message.raw_message, dict) else None
    if isinstance(entry, dict) and _FIELD not in entry:
        return next(iter(entry.values()), b"")
    return message.body


async def waiting_at(feed: BrokerFeed) -> int:
    """Return how many messages of a feed wait at its broker."""
    scheme = urlsplit(feed.url).scheme
    if scheme in ("nats", "tls"):
        from nats.aio.client import Client

        connection = Client()  # not nats.connect: what is cut short while it connects has a socket to close, too
        try:
            await connection.connect(feed.url, allow_reconnect=False)
            consumer = await connection.jetstream().consumer_info(feed.stream, feed.group)
        finally:
            await connection.close()
        return (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    if scheme in ("redis", "rediss"):
        from redis.asyncio import from_url

        async with from_url(feed.url) as client:
            groups = {group["name"].decode(): group for group in await client.xinfo_groups(feed.subject)}
        return (groups[feed.group]["lag"] or 0) + int(groups[feed.group]["pending"])
    if scheme in ("amqp", "amqps"):
        import aio_pika

        async with await aio_pika.connect(feed.url) as rabbit:
            queue = await (await rabbit.channel()).declare_queue(feed.subject, passive=True)
            return int(queue.declaration_result.message_count or 0)
    return await asyncio.to_thread(_waiting_in_topic, feed)


def _waiting_in_topic(feed: BrokerFeed) -> int:
    """Return the lag of a group of Kafka over all partitions; asking joins no group, so nothing is moved."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": urlsplit(feed.url).netloc, "group.id": feed.group})
    try:
        numbers = consumer.list_topics(feed.subject, timeout=_LAG_SECONDS).topics[feed.subject].partitions
        partitions = [TopicPartition(feed.subject, number) for number in numbers]
        waiting = 0
        for committed in consumer.committed(partitions, timeout=_LAG_SECONDS):
            first, end = consumer.get_watermark_offsets(committed, timeout=_LAG_SECONDS)
            waiting += end - max(committed.offset, first)  # nothing was committed yet: the offset is negative
        return waiting
    finally:
        consumer.close()


class BrokerListener:
    """Takes the messages of one feed from its broker."""

    def __init__(
        self,
        feed: BrokerFeed,
        take: Callable[[list[Incoming]], Awaitable[list[Taken]]],
        now: Callable[[], float],
        note: Callable[[str, int], None] = lambda _feed, _waiting: None,
    ) -> None:
        """`note` is told every half minute how many messages wait at the broker."""
        self._feed, self._take, self._now, self._note = feed, take, now, note
        self._task: asyncio.Task[None] | None = None
        self._broker: Any = None
        self._is_over = self._is_away = False

    async def start(self) -> int:
        """Begin to connect, again until it is possible: a broker that is down stops no other feed. There is no port."""
        self._task = asyncio.create_task(self._connect())
        return 0

    async def _connect(self) -> None:
        # A time limit of anyio that ends in the same turn swallows a cancellation: `stop` says it by a member, too.
        while not self._is_over:
            self._broker = open_broker(self._feed.url)
            _subscribe(self._broker, self._feed, self._store)
            try:
                await self._begin()
            except Exception as error:  # each library has errors of its own
                self._say_away(error)
                await self._close()
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                log().info("feed listens", client=self._feed.name)
                self._is_away, turns = False, 0
                while not self._is_over and all(subscriber.running for subscriber in self._broker.subscribers):
                    if turns % _LAG_TURNS == 0:
                        await self._note_waiting()
                    turns += 1
                    await asyncio.sleep(_AGAIN_SECONDS)
                if self._is_over:
                    return
                # FastStream ends where Redis has lost the group with its data.
                log().warning("group of a broker is gone", client=self._feed.name)
                await self._close()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _begin(self) -> None:
        late = asyncio.get_running_loop().call_later(_START_SECONDS, self._say_away, TimeoutError())
        try:
            if urlsplit(self._feed.url).scheme in ("redis", "rediss"):
                await _make_group(self._feed)
            await self._broker.start()
        finally:
            late.cancel()

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:  # once, until it is there again
            log().warning("broker not reached", client=self._feed.name, error_type=type(error).__name__)
        self._is_away = True

    async def _note_waiting(self) -> None:
        try:
            waiting = await asyncio.wait_for(waiting_at(self._feed), _LAG_SECONDS)
            await asyncio.to_thread(self._note, self._feed.name, waiting)
            self._is_away = False
        except Exception as error:  # FastStream reconnects by itself: only here a broker that went away is seen
            self._say_away(error)

    async def _store(self, content: bytes) -> None:
        try:
            await self._take([reading.incoming for reading in read_frame(content, self._feed, self._now())])
        except Exception as error:
            log().error("message of a broker not stored", client=self._feed.name, error_type=type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)  # it is delivered again at once
            raise

    async def _close(self) -> None:
        if self._broker is not None:
            with suppress(Exception):
                await self._broker.stop()

    async def stop(self) -> None:
        """Take nothing more; what was not acknowledged is delivered again."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close()


class Publisher:
    """Publishes events to one subject, queue, stream or topic."""

    def __init__(self, url: str, subject: str, stream: str) -> None:
        self._url, self._subject, self._stream = url, subject, stream
        self._broker: Any = None

    async def publish(self, body: bytes, event_id: str, key: str) -> None:
        """Publish an event and return when the broker has it; any error of its library is raised.

        `key` keeps the events of a patient in one partition of Kafka.
        """
        if self._broker is None:
            # An attempt at NATS without an end would have to be cut short, and go on behind this with an open socket.
            broker = open_broker(self._url, again=_ONE_MORE)
            await broker.connect()
            self._broker = broker
        scheme, headers = urlsplit(self._url).scheme, {"content-type": "application/cloudevents+json"}
        more: dict[str, Any] = {"headers": headers, "correlation_id": event_id}
        if scheme in ("nats", "tls"):
            headers["Nats-Msg-Id"] = event_id
            await self._broker.publish(body, self._subject, stream=self._stream, **more)
        elif scheme in ("amqp", "amqps"):
            await self._broker.publish(body, self._subject, persist=True, message_id=event_id, **more)
        elif scheme in ("redis", "rediss"):
            await self._broker.publish(body, stream=self._subject, **more)
        else:
            await self._broker.publish(body, self._subject, key=key.encode() or None, **more)

    async def close(self) -> None:
        """End the connection; the next event makes a new one."""
        broker, self._broker = self._broker, None
        if broker is not None:
            with suppress(Exception):
                await broker.stop()
