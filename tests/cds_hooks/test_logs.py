"""The operational log: what its stream does never reaches those who log."""

import io
import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest

from cds_hooks.telemetry.logs import configure_logs, log
from tests.live import AS_INSTALLED, serving
from tests.waiting import until


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The settings of the log are the process's own."""
    yield
    configure_logs("info")


def test_a_line_has_the_allowed_fields_only() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    log().info("decision", count=3, patient="Peter Chalmers")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["count"]) == ("decision", 3)
    assert "patient" not in line


def test_a_closed_stream_ends_no_call() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    stream.close()
    log().error("record cannot be written")


def test_a_reader_that_takes_no_more_holds_no_call_and_hears_how_much_it_missed() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb", buffering=0) as reader:
        configure_logs("info", stream)
        held = Thread(target=lambda: deque(map(log().info, ["decision"] * 5_000)), daemon=True)
        held.start()
        held.join(180)
        assert not held.is_alive()
        kept = reader.read(1 << 20).count(b"\n")
        log().info("decision")
        assert json.loads(reader.read(1 << 20))["lost"] == 5_000 - kept


def test_a_full_disk_ends_no_call_and_the_next_line_says_how_many_were_lost(tmp_path: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as device:
        stream = io.TextIOWrapper(device, write_through=True)
        configure_logs("info", stream)
        with pytest.raises(OSError, match="No space left"):
            print("written", file=stream, flush=True)
        log().error("record cannot be written")
        with (tmp_path / "log").open("wb") as there_is_room:
            os.dup2(there_is_room.fileno(), device.fileno())
        log().info("decision")
        assert json.loads((tmp_path / "log").read_text())["lost"] == 1
        with suppress(OSError):
            stream.close()


@pytest.mark.slow
def test_what_is_loaded_after_the_start_and_is_broken_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise ImportError('broken')\n")
    with serving(
        tmp_path, PYTHONPATH=os.pathsep.join([str(tmp_path), AS_INSTALLED, str(Path(__file__).parents[2])])
    ) as address:
        until(lambda: "pages cannot be made" in (tmp_path / "server.log").read_text())
        lines = (tmp_path / "server.log").read_text().splitlines()
        (line,) = (json.loads(line) for line in lines if "pages cannot be made" in line)
        assert (line["level"], line["error_type"], line["line"] > 0) == ("error", "ImportError", True)
        assert line["module"].startswith("cds_hooks.")
        assert httpx.get(f"{address}/cds-services", timeout=180).status_code == 200
