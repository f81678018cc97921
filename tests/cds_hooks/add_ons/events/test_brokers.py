"""A real broker that is killed and started again: each message is in the inbox once, and events go out."""

import asyncio
import gc
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from cds_hooks.add_ons.events.brokers import BrokerListener, Publisher, open_broker, waiting_at
from cds_hooks.add_ons.events.declaration import BrokerFeed, Webhook
from cds_hooks.add_ons.events.inbox import Groups, Inbox
from cds_hooks.add_ons.events.outbox import BrokerDelivery, add_to_outbox
from tests.cds_hooks.add_ons.events.messages import NOW, result, run_async
from tests.live import free_port

pytestmark = pytest.mark.slow

MESSAGES = 30
SECONDS = 300.0


@pytest.fixture(autouse=True)
def _no_socket_is_left() -> Iterator[None]:
    """What a test leaves open is its own fault, and not that of the test after it."""
    yield
    gc.collect()


class Broker:
    """A broker of its own in a folder, which can be killed and started again with what it had."""

    def __init__(self, folder: Path, scheme: str) -> None:
        self._folder, self.scheme, self._port = folder, scheme, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = {"ERL_EPMD_PORT": str(free_port())}
        self.url = f"{scheme}://127.0.0.1:{self._port}"

    def start(self) -> None:
        port, folder, environment = str(self._port), str(self._folder), dict(os.environ)
        if self.scheme == "nats":
            command = ["nats-server", "-js", "-a", "127.0.0.1", "-p", port, "-sd", folder]
        elif self.scheme == "redis":
            command = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", folder]
            command += ["--appendonly", "yes", "--appendfsync", "always"]
        else:
            direct = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one on the path changes the user
            command = [str(direct) if direct.exists() else "rabbitmq-server"]
            environment |= self._names | {
                "HOME": folder, "RABBITMQ_NODE_PORT": port, "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"cds{port}@localhost", "RABBITMQ_DIST_PORT": str(free_port()),
                "RABBITMQ_MNESIA_BASE": folder, "RABBITMQ_LOG_BASE": folder, "RABBITMQ_CONF_ENV_FILE": "/dev/null",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
            }  # fmt: skip
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """Kill it with everything that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait(30)
            self._process = None

    def forget(self) -> None:
        """End what RabbitMQ leaves running beside itself."""
        if self.scheme == "amqp":
            subprocess.run(["epmd", "-kill"], env=os.environ | self._names, check=False, capture_output=True)


@contextmanager
def running(folder: Path, scheme: str) -> Iterator[Broker]:
    pytest.importorskip("faststream", reason="needs faststream (requirements/dev.txt)")
    program = {"nats": "nats-server", "redis": "redis-server", "amqp": "rabbitmq-server"}[scheme]
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        pytest.skip(f"{program} is not installed")
    broker = Broker(folder, scheme)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        broker.forget()


async def _until(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """Return what an attempt gives when it succeeds and gives something."""
    end = monotonic() + SECONDS
    while True:
        with suppress(Exception):
            value = await asyncio.wait_for(attempt(), 10)
            if value:
                return value
        assert monotonic() < end
        await asyncio.sleep(0.2)


async def _prepare(url: str, scheme: str) -> Any:
    """Return a connection by which the tests publish, and make the stream or queue."""
    if scheme == "nats":
        import nats

        connection = await nats.connect(url, max_reconnect_attempts=1)
        await connection.jetstream().add_stream(name="EVENTS", subjects=["feeds.*", "events.*"])
        await connection.close()
    if scheme == "amqp":
        import aio_pika

        # that of FastStream goes on behind an attempt that is cut short, and its socket stays open
        await (await aio_pika.connect(url)).close()
    broker = open_broker(url, again=1)
    await broker.connect()
    if scheme == "amqp":
        from faststream.rabbit import RabbitQueue

        for name in ("feeds.lab", "events.cds"):
            await broker.declare_queue(RabbitQueue(name, durable=True))
    return broker


async def _published(writer: Any, number: int, where: dict[str, Any]) -> bool:
    await writer.publish(result(str(number), "4.4"), **where)
    return True


def _where(scheme: str) -> dict[str, Any]:
    return {"stream": "feeds.lab"} if scheme == "redis" else {"subject" if scheme == "nats" else "queue": "feeds.lab"}


@asynccontextmanager
async def _listening(folder: Path, url: str) -> AsyncIterator[Inbox]:
    with closing(Inbox(folder / "events.sqlite3")) as inbox:
        feed = BrokerFeed(name="lab", url=url, subject="feeds.lab", stream="EVENTS", authority="SOUTH")
        listener = BrokerListener(feed, Groups(inbox, 100).take, lambda: NOW)
        await listener.start()
        try:
            yield inbox
        finally:
            await listener.stop()


def _stored(inbox: Inbox) -> set[str]:
    return {row[0] for row in inbox.query("SELECT message_id FROM inbox WHERE state = 'done'")}


async def _is_stored(inbox: Inbox, expected: set[str]) -> bool:
    return _stored(inbox) >= expected


@pytest.mark.parametrize("scheme", ["nats", "redis", "amqp"])
@run_async
async def test_what_waits_at_the_broker_before_the_first_connection_is_taken(tmp_path: Path, scheme: str) -> None:
    more: dict[str, Any] = {"stream": "EVENTS"} if scheme == "nats" else {}
    with running(tmp_path, scheme) as broker:
        writer = await _until(lambda: _prepare(broker.url, scheme))
        await _published(writer, 1, _where(scheme) | more)
        async with _listening(tmp_path, broker.url) as inbox:
            await _until(lambda: _is_stored(inbox, {"1"}))
        for number in (2, 3):
            await _published(writer, number, _where(scheme) | more)
        feed = BrokerFeed(name="lab", url=broker.url, subject="feeds.lab", stream="EVENTS", authority="SOUTH")
        assert await waiting_at(feed) == 2
        await writer.stop()


@pytest.mark.parametrize("scheme", ["nats", "redis", "amqp"])
@run_async
async def test_each_message_is_stored_once_though_the_broker_is_killed(tmp_path: Path, scheme: str) -> None:
    more: dict[str, Any] = {"stream": "EVENTS"} if scheme == "nats" else {"persist": True} if scheme == "amqp" else {}
    with running(tmp_path, scheme) as broker:
        writer = await _until(lambda: _prepare(broker.url, scheme))
        async with _listening(tmp_path, broker.url) as inbox:
            for number in range(MESSAGES):
                if number == MESSAGES // 2:
                    await writer.stop()
                    broker.kill()
                    broker.start()
                    writer = await _until(lambda: _prepare(broker.url, scheme))
                await _until(partial(_published, writer, number, _where(scheme) | more))
            await writer.stop()
            expected = {str(number) for number in range(MESSAGES)}

            async def is_there() -> bool:
                return _stored(inbox) >= expected

            await _until(is_there)
            assert inbox.query("SELECT count(*) FROM inbox WHERE state = 'done'") == [(MESSAGES,)]


@run_async
async def test_what_was_not_stored_is_delivered_again_to_the_next_server(tmp_path: Path) -> None:
    with running(tmp_path, "nats") as broker:
        writer = await _until(lambda: _prepare(broker.url, "nats"))
        feed = BrokerFeed(name="lab", url=broker.url, subject="feeds.lab", stream="EVENTS", authority="SOUTH")
        tried = asyncio.Event()

        async def fails(_: object) -> Any:
            tried.set()
            raise OSError("the disk is full")

        listener = BrokerListener(feed, fails, lambda: NOW)
        await listener.start()
        await writer.publish(result("1", "4.4"), "feeds.lab", stream="EVENTS")
        await asyncio.wait_for(tried.wait(), SECONDS)
        await listener.stop()
        await writer.stop()
        async with _listening(tmp_path, broker.url) as inbox:

            async def is_there() -> bool:
                return _stored(inbox) == {"1"}

            await _until(is_there)


@run_async
async def test_messages_of_kafka_are_stored_once(tmp_path: Path) -> None:
    """The mock cluster of librdkafka keeps nothing on a disk, so nothing is shown of a broker that is killed."""
    confluent = pytest.importorskip("confluent_kafka", reason="needs confluent-kafka (requirements/dev.txt)")
    cluster = confluent.Producer({"test.mock.num.brokers": 1})
    (node,) = cluster.list_topics(timeout=180).brokers.values()
    for number in [0, *range(5)]:
        cluster.produce("feeds.lab", result(str(number), "4.4"))
    cluster.flush(30)
    url = f"kafka://{node.host}:{node.port}"
    feed = BrokerFeed(name="lab", url=url, subject="feeds.lab", stream="EVENTS", authority="SOUTH")
    assert await waiting_at(feed) == 6
    async with _listening(tmp_path, url) as inbox:

        async def is_there() -> bool:
            return _stored(inbox) == {"0", "1", "2", "3", "4"} and await waiting_at(feed) == 0

        await _until(is_there)
    cluster.produce("feeds.lab", result("5", "4.4"))
    cluster.flush(30)
    assert await waiting_at(feed) == 1
    publisher = Publisher(url, "events.cds", "")
    await publisher.publish(b"{}", "e1", "p1")
    await publisher.close()
    reader = confluent.Consumer(
        {"bootstrap.servers": url.removeprefix("kafka://"), "group.id": "test", "auto.offset.reset": "earliest"}
    )
    reader.subscribe(["events.cds"])

    async def is_published() -> bool:
        message = await asyncio.to_thread(reader.poll, 5.0)
        return message is not None and message.error() is None and (message.key(), message.value()) == (b"p1", b"{}")

    await _until(is_published)
    reader.close()


async def _events_at(url: str, scheme: str) -> int:
    """Return how many events a broker has."""
    if scheme == "nats":
        import nats

        connection = await nats.connect(url)
        state = (await connection.jetstream().stream_info("EVENTS")).state
        await connection.close()
        return int(state.messages)
    if scheme == "redis":
        from redis.asyncio import Redis

        async with Redis.from_url(url) as redis:
            return int(await redis.xlen("events.cds"))
    import aio_pika

    async with await aio_pika.connect(url) as rabbit:
        queue = await (await rabbit.channel()).declare_queue("events.cds", passive=True)
        return int(queue.declaration_result.message_count or 0)


@pytest.mark.parametrize("scheme", ["nats", "redis", "amqp"])
@run_async
async def test_events_are_published_again_until_the_broker_has_them(tmp_path: Path, scheme: str) -> None:
    with running(tmp_path, scheme) as broker, closing(Inbox(tmp_path / "events.sqlite3")) as inbox:
        await (await _until(lambda: _prepare(broker.url, scheme))).stop()
        hook = Webhook(url=broker.url, subject="events.cds", stream="EVENTS")
        now = [NOW]
        delivery = BrokerDelivery(inbox, "care", hook, "https://cds.example", lambda: now[0])
        with inbox.transaction() as connection:
            add_to_outbox(connection, "e1", "worklist-changed", "p1", NOW, {"patient": "p1"})
        publisher = Publisher(hook.url, hook.subject, hook.stream)
        broker.kill()
        assert await delivery.send(publisher) == 0
        broker.start()
        await (await _until(lambda: _prepare(broker.url, scheme))).stop()

        async def is_sent() -> bool:
            now[0] += 400
            return await delivery.send(publisher) == 1

        await _until(is_sent)
        await publisher.close()
        assert await _events_at(broker.url, scheme) == 1
