"""MLLP over real sockets: framing faults, limits, TLS with client certificates, acknowledgment after the commit."""

import asyncio
import os
import signal
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.add_ons.events.declaration import FolderFeed, MllpFeed, Tls
from cds_hooks.add_ons.events.folders import FolderListener
from cds_hooks.add_ons.events.inbox import Groups, Inbox
from cds_hooks.add_ons.events.mllp import Listener, certificate_fault, framed
from tests.cds_hooks.add_ons.events.messages import NOW, feed, message, result, run_async
from tests.operations.test_proxies import Authority
from tests.waiting import until_async

ROOT = Path(__file__).parents[4]


class Running:
    def __init__(self, inbox: Inbox, feed: MllpFeed) -> None:
        self.inbox, self.port, self.counted, self.is_disk_full = inbox, 0, list[str](), False
        groups = Groups(inbox, 100)

        async def take(*messages: Any) -> Any:
            if self.is_disk_full:
                raise sqlite3.OperationalError("database or disk is full")
            return await groups.take(*messages)

        self.listener = Listener(feed, take, lambda _feed, name: self.counted.append(name), look_seconds=0.02)

    def stored(self) -> int:
        return int(self.inbox.query("SELECT count(*) FROM inbox")[0][0])


@asynccontextmanager
async def listening(folder: Path, of: MllpFeed | None = None) -> AsyncIterator[Running]:
    inbox = Inbox(folder / "events.sqlite3")
    running = Running(inbox, of or feed())
    running.port = await running.listener.start()
    try:
        yield running
    finally:
        await running.listener.stop()
        inbox.close()


async def _acknowledgments(reader: asyncio.StreamReader, count: int) -> list[str]:
    answers = [await reader.readuntil(b"\x1c\r") for _ in range(count)]
    return [answer.split(b"\rMSA|")[1].split(b"\r")[0].decode() for answer in answers]


@run_async
async def test_a_batch_is_answered_by_one_batch(tmp_path: Path) -> None:
    """HL7 chapter 2: one frame with the acknowledgment of each message between BHS and BTS."""
    async with listening(tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        bad = result("2", "4.5", status="?", filler="F2")
        batch = b"BHS|^~\\&|LAB\r" + result("1", "4.4") + bad + b"BTS|2\r"
        writer.write(framed(batch) + framed(result("3", "4.6", filler="F3")))
        answers = [await reader.readuntil(b"\x1c\r") for _ in range(2)]
        lines = answers[0].strip(b"\x0b\x1c\r").split(b"\r")
        assert (lines[0], lines[-1]) == (b"BHS|^~\\&", b"BTS|2")
        assert [line for line in lines if line.startswith(b"MSA")] == [b"MSA|AA|1", b"MSA|AE|2"]
        assert b"BHS" not in answers[1]
        assert running.stored() == 3
        writer.close()


@run_async
async def test_noise_and_a_frame_without_an_end_do_not_stop_the_connection(tmp_path: Path) -> None:
    async with listening(tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n\x0b" + result("1", "4.4") + framed(result("2", "4.5")) + framed(b""))
        writer.write(framed(result("3", "4.6", filler="F3")))
        assert await _acknowledgments(reader, 3) == ["AE|1", "AA|2", "AA|3"]
        assert "never ended" in running.inbox.dead_letters()[0].reason
        writer.close()
        await until_async(lambda: running.counted == ["noise"])


@run_async
async def test_a_slow_sender_is_cut_and_does_not_hurt_others(tmp_path: Path) -> None:
    async with listening(tmp_path, feed(frame_seconds=0.2)) as running:
        slow_reader, slow = await asyncio.open_connection("127.0.0.1", running.port)
        slow.write(b"\x0bMSH")
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(framed(result("1", "4.4")))
        assert await _acknowledgments(reader, 1) == ["AA|1"]
        assert await slow_reader.read() == b""
        assert "frame-timeout" in running.counted
        writer.close()
        slow.close()


@run_async
async def test_a_huge_frame_and_too_many_connections_are_closed(tmp_path: Path) -> None:
    async with listening(tmp_path, feed(frame_bytes=1000, connections=2)) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"\x0b" + b"x" * 5000)
        assert await reader.read() == b""
        writer.close()
        streams = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(6)]
        await until_async(lambda: running.counted.count("refused") == 4)
        for _, stream in streams:
            stream.close()


@run_async
async def test_a_sender_that_vanished_gives_its_place_to_one_that_speaks(tmp_path: Path) -> None:
    async with listening(tmp_path, feed(frame_seconds=0.3, connections=2)) as running:
        vanished, first = await asyncio.open_connection("127.0.0.1", running.port)
        speaking, writer = await asyncio.open_connection("127.0.0.1", running.port)
        for number in range(4):
            await asyncio.sleep(0.2)
            writer.write(framed(result(str(number), "4.4")))
            assert await _acknowledgments(speaking, 1) == [f"AA|{number}"]
        reader, third = await asyncio.open_connection("127.0.0.1", running.port)
        third.write(framed(result("9", "4.4", filler="F9")))
        assert await _acknowledgments(reader, 1) == ["AA|9"]
        assert await vanished.read() == b""
        assert running.counted == ["lost"]
        for each in (first, writer, third):
            each.close()


@run_async
async def test_a_sender_whose_messages_cannot_be_stored_is_cut_and_sends_again(tmp_path: Path) -> None:
    async with listening(tmp_path) as running:
        running.is_disk_full = True
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(framed(result("1", "4.4")))
        assert await reader.read() == b"", "no acknowledgment, and no waiting"
        assert running.counted == ["lost"]
        writer.close()
        running.is_disk_full = False
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(framed(result("1", "4.4")))
        assert await _acknowledgments(reader, 1) == ["AA|1"]
        assert running.stored() == 1
        writer.close()


async def _ask(port: int, context: ssl.SSLContext) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(framed(result("1", "4.4")))
    try:
        return await _acknowledgments(reader, 1)
    finally:
        writer.close()


@run_async
async def test_mutual_tls_takes_only_senders_with_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = authority.issue("127.0.0.1")
    tls = Tls(certificate=str(certificate), key=str(key), client_ca=str(authority.file))
    async with listening(tmp_path, feed(tls=tls)) as running:
        context = ssl.create_default_context(cafile=authority.file)
        context.check_hostname = False
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await _ask(running.port, context)
        context.load_cert_chain(certificate, key)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
        writer.write(framed(result("2", "4.4")))
        assert await _acknowledgments(reader, 1) == ["AA|2"]
        assert running.stored() == 1
        writer.close()


@run_async
async def test_a_new_certificate_is_used_without_a_restart_and_half_of_one_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    files = authority.issue("127.0.0.1")
    tls = Tls(*map(str, files))
    context = ssl.create_default_context(cafile=authority.file)

    async def shown(port: int) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.close()
        return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    of = feed(tls=tls)
    async with listening(tmp_path, of) as running, asyncio.TaskGroup() as group:
        first = await shown(running.port)
        following = group.create_task(running.listener.keep_certificate())
        old_key = files[1].read_bytes()
        authority.issue("127.0.0.1")
        new_key = files[1].read_bytes()
        files[1].write_bytes(old_key)
        await asyncio.sleep(0.3)  # it has looked
        assert (await shown(running.port), "feed.lab" in certificate_fault(of)) == (first, True)
        files[1].write_bytes(new_key)
        while await shown(running.port) == first:
            await asyncio.sleep(0.02)
        following.cancel()
        files[1].unlink()
        os.mkfifo(files[1])  # whoever opens it waits for ever
        assert "feed.lab" in certificate_fault(of)


PROGRAM = """
import asyncio, sys
from pathlib import Path
from typing import Any, cast
sys.path.insert(0, {root!r})
from tests.cds_hooks.add_ons.events.messages import feed
from cds_hooks.add_ons.events.inbox import Groups
from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.mllp import Listener

async def main():
    listener = Listener(feed(), Groups(Inbox(Path({file!r})), 100).take, lambda *_: None)
    print(await listener.start(), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def _start(file: Path) -> tuple[asyncio.subprocess.Process, int]:
    text = PROGRAM.format(root=str(ROOT), file=str(file))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


@pytest.mark.slow
@run_async
async def test_kill_9_loses_and_doubles_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.sqlite3"
    waiting = [result(str(at), "4.4", filler=f"F{at}") for at in range(400)]
    acknowledged: list[str] = []
    for round_ in range(4):
        process, port = await _start(file)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        killer = asyncio.get_running_loop().call_later(0.15 + 0.1 * round_, os.kill, process.pid, signal.SIGKILL)
        try:
            for at in range(len(acknowledged), len(waiting)):
                writer.write(framed(waiting[at]))
                acknowledged += await _acknowledgments(reader, 1)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender sends again what was not acknowledged
        writer.close()
        killer.cancel()
        if process.returncode is None:
            process.kill()
        await process.wait()
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT message_id) FROM inbox").fetchone()
        facts = connection.execute("SELECT count(*) FROM facts WHERE type = 'Observation'").fetchone()
    assert rows[0] == rows[1] == facts[0]
    assert len(acknowledged) <= rows[0] <= len(acknowledged) + 1


def _names(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def _listener(tmp_path: Path) -> tuple[Path, Inbox, FolderListener]:
    folder = tmp_path / "in"
    folder.mkdir()
    inbox = Inbox(tmp_path / "events.sqlite3")
    feed = FolderFeed(name="lab", folder=str(folder), authority="SOUTH", frame_bytes=2000)
    return folder, inbox, FolderListener(feed, Groups(inbox, 100).take, lambda: NOW)


@run_async
async def test_whole_files_are_taken_oldest_first_and_put_away(tmp_path: Path) -> None:
    folder, inbox, listener = _listener(tmp_path)
    written = {
        "b.hl7": result("1", "4.4"), "a.hl7": result("2", "4.5").replace(b"\r", b"\n"),
        "batch.hl7": b"BHS|^~\\&\r" + result("3", "4.6", filler="F3") + message("ZZZ^Z01", "4") + b"BTS|2\r",
        "long.hl7": b"x" * 2001, ".half.hl7": result("5", "4.7"),
    }  # fmt: skip
    for at, (name, content) in enumerate(written.items()):
        (folder / name).write_bytes(content)
        os.utime(folder / name, (at, at))
    (folder / "link.hl7").symlink_to(folder / "b.hl7")
    assert await listener.take_files() == 4
    assert _names(folder) == [
        ".half.hl7", "dead/batch.hl7", "dead/long.hl7", "done/a.hl7", "done/b.hl7"
    ]  # fmt: skip
    rows = inbox.query("SELECT message_id, state FROM inbox ORDER BY sequence")
    assert rows == [("1", "done"), ("2", "done"), ("3", "done"), ("4", "dead"), ("long.hl7", "dead")]
    (folder / "b.hl7").write_bytes(result("1", "4.4"))  # the server ended before it put the file away
    assert await listener.take_files() == 1  # and not the link
    assert {"done/b.hl7", "done/b.hl7.1"} <= {*_names(folder)}
    assert inbox.query("SELECT count(*) FROM inbox") == [(5,)]
    inbox.close()
