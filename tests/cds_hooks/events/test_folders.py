"""Messages from a folder: whole files are taken once, what cannot be read is told apart, and a fault stops nothing."""

import os
from pathlib import Path

import pytest

from cds_hooks.events import folders
from cds_hooks.events.declaration import FolderFeed
from cds_hooks.events.folders import FolderListener
from cds_hooks.events.inbox import Groups, Inbox
from tests.cds_hooks.events.messages import NOW, message, result, run_async
from tests.cds_hooks.events.test_outbox import stopped_when
from tests.cds_hooks.logged import capture_logs


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


@run_async
async def test_a_fault_is_said_and_files_are_taken_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, inbox, listener = _listener(tmp_path)
    monkeypatch.setattr(folders, "_POLL_SECONDS", 0.0)
    (folder / "done").symlink_to(tmp_path / "nowhere")
    (folder / "a.hl7").write_bytes(result("1", "4.4"))
    with capture_logs() as lines:
        await listener.start()
        await stopped_when(listener._keep_taking(), lambda: any("not taken" in str(line) for line in lines))
    (folder / "done").unlink()
    await stopped_when(listener._keep_taking(), lambda: (folder / "done" / "a.hl7").exists())
    await listener.stop()
    assert inbox.query("SELECT copies > 0, state FROM inbox") == [(1, "done")]
    inbox.close()
