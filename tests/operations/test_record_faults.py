"""The record cannot be written: what the caller, /readyz, the log and the metrics say."""

import asyncio
import io
import json
import os
import re
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx
import pytest

from cds_hooks.call.routes.health import why_not_ready
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.evidence.storage.decision import RecordHealth, RecordUnavailable
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.server.stores import Stores
from cds_hooks.telemetry.logs import configure_logs
from cds_hooks.telemetry.metrics import Metrics
from fhir.terminology.imported import use_index
from fhir.terminology.importing import import_releases
from models_onnx.artifact.keys import local_signer
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.cds_hooks.evidence.storage.samples import a_decision
from tests.constants import settings_with
from tests.hardening.two_clients import write_site
from tests.live import SHIPPED, free_port, record_in, serving_here
from tests.operations.test_proxies import Authority
from tests.waiting import until, until_async


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """The operating system lets no file grow beyond the write-ahead log as it is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    longest = (folder / "decisions.sqlite3-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _locked(folder: Path, name: str = "decisions.sqlite3") -> Iterator[None]:
    with closing(sqlite3.connect(folder / name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _away(folder: Path, name: str) -> Iterator[None]:
    (folder / name).rename(folder / "away")
    yield
    (folder / "away").rename(folder / name)


@contextmanager
def _damaged(folder: Path, name: str) -> Iterator[None]:
    with (folder / name).open("r+b") as file:  # a seal may be added meanwhile
        last = file.seek(-1, os.SEEK_END)
        end = file.read()
        file.truncate(last)
        yield
        file.seek(last)
        file.write(end)


@contextmanager
def _emptied(folder: Path, name: str) -> Iterator[None]:
    """Another database is in its place, which has no tables."""
    with _away(folder, name):
        (folder / name).touch()
        yield
        (folder / name).unlink()


@contextmanager
def _in_the_way(folder: Path, name: str) -> Iterator[None]:
    with _away(folder, name):
        while not (folder / name).is_dir():
            (folder / name).unlink(missing_ok=True)  # the server may have made the file anew
            with suppress(FileExistsError):
                (folder / name).mkdir()
        yield
        (folder / name).rmdir()


@contextmanager
def _never_ending(folder: Path, name: str) -> Iterator[None]:
    """Whoever opens it waits for ever."""
    with _away(folder, name):
        os.mkfifo(folder / name)
        yield
        (folder / name).unlink()


@contextmanager
def _without_client(folder: Path, name: str) -> Iterator[None]:
    trust, new = (folder / name).read_text(), folder / "new.toml"
    for text in (trust.replace('"a"', '"other"'), trust):
        new.write_text(text)
        new.replace(folder / name)
        if text != trust:
            yield


@contextmanager
def _ended(folder: Path, name: str) -> Iterator[None]:
    """The certificate of a feed and the authority of a FHIR server end in this minute."""
    files = [folder / f"{name}.{kind}" for kind in ("crt", "key", "pem") if (folder / f"{name}.{kind}").exists()]
    before = [file.read_bytes() for file in files]
    ending = Authority(folder, name, timedelta(minutes=1))
    if len(files) > 1:
        ending.issue(name)
    yield
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)


_FAULTS: list[tuple[str, Callable[[Path, str], AbstractContextManager[None]], str]] = [
    ("CDS_USER_KEYS", _away, "user.txt"),
    ("CDS_CONTENT_KEYS", _damaged, "content.txt"),
    ("CDS_SEAL_KEY", _in_the_way, "seal.pem"),
    ("CDS_TEXT_FILE", _damaged, "text.toml"),
    *(("CDS_RULES_FILE", fault, "rules.toml") for fault in (_damaged, _away, _in_the_way)),
    ("CDS_OIDC_FILE", _away, "oidc.toml"),
    *(("CDS_TERMINOLOGY", fault, "terms.idx") for fault in (_damaged, _in_the_way, _never_ending)),
    *(("CDS_SERVICES", fault, "services.toml") for fault in (_damaged, _away, _in_the_way)),
    ("CDS_MODELS_FOLDER", _damaged, "models/mine/model.onnx"),
    *(("seals", fault, "seals.ndjson") for fault in (_damaged, _emptied, _in_the_way, _never_ending)),
    *(("accounts", fault, "access.sqlite3") for fault in (_locked, _emptied, _in_the_way)),
    *(("events", fault, "events.sqlite3") for fault in (_locked, _emptied, _in_the_way)),
    *(("feed-certificates", fault, "127.0.0.1.crt") for fault in (_away, _in_the_way)),
    ("feed-certificates", _ended, "127.0.0.1"),
    ("authorities", _ended, "site"),
    ("feed-client", _without_client, "trust.toml"),
    ("feed.lab of CDS_EVENTS_FILE", _damaged, "lab.csv"),
]


def test_each_file_and_store_that_no_call_asks_for_fails_in_turn_and_is_told_until_it_is_back(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: use_index(None))
    (tmp_path / "codes.csv").write_text("system,code,group\nurn:ours,HF,hf\n")
    import_releases([tmp_path / "codes.csv"], tmp_path / "terms.idx", lambda _name, _done, _total: None)
    local_signer(tmp_path / "seal.pem", "record")
    (tmp_path / "content.txt").write_text("0f" * 32)
    (tmp_path / "text.toml").write_text("endpoints.ward = {address = 'http://127.0.0.1:9', model = 'm'}\n")
    provider = 'issuer = "https://id.example"\nclient_id = "cds"\n[roles]\nicu = "viewer"\n'
    (tmp_path / "oidc.toml").write_text(provider)
    (tmp_path / "rules.toml").write_text("version = 1")
    (tmp_path / "models/mine").mkdir(parents=True)
    (tmp_path / "models/mine/model.onnx").write_bytes(b"a draft without a manifest is no model yet")
    names = {"user_keys": "user.txt", "content_keys": "content.txt", "seal_key": "seal.pem", "text_file": "text.toml"}
    (tmp_path / "services.toml").write_bytes(Path(SHIPPED).read_bytes())
    names |= {"oidc_file": "oidc.toml", "models_folder": "models", "seal_file": "seals.ndjson"}
    names |= {"events_file": "events.toml", "terminology": "terms.idx", "rules_file": "rules.toml"}
    feed = f'[feed.lab]\nkind = "mllp"\nlisten = "127.0.0.1:{free_port()}"\nauthority = "NORTH"\ncodes = "lab.csv"\n'
    feed += 'tls = { certificate = "127.0.0.1.crt", key = "127.0.0.1.key" }\n'
    Authority(tmp_path, "authority").issue("127.0.0.1")
    (tmp_path / "lab.csv").write_text("code,loinc\nK,2823-3\n")
    (tmp_path / "events.toml").write_text(f'client = "a"\ndatabase = "{tmp_path}/events.sqlite3"\n{feed}')
    files: dict[str, Any] = {name: tmp_path / file for name, file in names.items()}
    files["services"] = str(tmp_path / "services.toml")
    (tmp_path / "seals.ndjson").touch()
    files["trust_file"], token = write_site(tmp_path, "https://fhir.example")[2], "the operator's own token"
    trust, authority = files["trust_file"], Authority(tmp_path, "site").file
    trust.write_text(trust.read_text().replace("fhir = ", f'ca_file = "{authority}"\nfhir = '))
    looks = {"look_seconds": 0.05, "seal_seconds": 0.05}
    with (
        serving_here(tmp_path, **files, **looks, login="accounts", operator_token=token) as address,
        httpx.Client(base_url=address, timeout=180, headers={"authorization": f"Bearer {token}"}) as calls,
    ):

        def told() -> list[str]:
            return re.findall(r'cds_store_out{store="([^"]+)"} 1', calls.get("/metrics").text)

        for store, fault, name in _FAULTS:
            until(lambda: told() == [], (store, "is told"))
            with fault(tmp_path, name):
                until(lambda store=store: told() == [store], store)  # type: ignore[misc]
                (sentence,) = calls.get("/readyz").json()["stores_out"]
                assert sentence in unescape(calls.get("/ops").text)
                assert "sqlalche" not in sentence  # words of a library
        until(lambda: told() == [])


async def test_a_clock_that_was_set_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = Stores(settings_with(database_url=record_in(tmp_path), look_seconds=0.01), Metrics())
    looking = asyncio.create_task(stores.keep_looking())
    for seconds, words in ((3600, "60 minutes forward"), (-3600, "120 minutes back")):
        monkeypatch.setattr("cds_hooks.server.stores.time", lambda seconds=seconds: time() + seconds)
        await until_async(lambda words=words: words in str(stores.out))  # type: ignore[misc]
    looking.cancel()


@pytest.mark.parametrize(("fault", "reason"), [(_full, "disk I/O error"), (_locked, "database is locked")])
async def test_a_call_that_cannot_be_recorded_is_refused_counted_and_said_at_readyz_until_it_can(
    fault: Callable[[Path], Any], reason: str, tmp_path: Path, as_of: datetime, capfd: pytest.CaptureFixture[str]
) -> None:
    request = request_for(PLANNING, "patient-view", "infant", as_of)
    async with client(tmp_path, as_of=as_of) as calls:

        async def status() -> tuple[int, int]:
            answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
            assert ("cards" in answer.json()) is (answer.status_code == 200)
            return answer.status_code, (await calls.get("/readyz")).status_code

        assert await status() == (200, 200)
        with fault(tmp_path):
            assert await status() == (503, 503)
        assert await status() == (200, 200)
        metrics = (await calls.get("/metrics")).text
    assert 'cds_store_failures_total{store="record"} 1.0' in metrics
    assert f'"reason": "{reason}"' in capfd.readouterr().err


async def test_of_two_stores_that_fail_neither_hides_the_other() -> None:
    async def no_record() -> None:
        raise RecordHealth("the record").refusal("disk is full")

    async def no_tokens() -> None:
        raise ReplayStoreFailed("locked")

    assert len(await why_not_ready(no_record, no_tokens)) == 2


def test_a_record_that_may_only_be_read_ends_the_start_with_a_sentence() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:  # not below pytest's folder, which no other user may enter
        folder = Path(name)
        url = record_in(folder)
        folder.chmod(0o755)
        (folder / "decisions.sqlite3").chmod(0o444)
        os.seteuid(65534 if user == 0 else user)  # root may write whatever the mode says
        try:
            with pytest.raises(RecordUnavailable, match="cannot be made: Permission denied"):
                open_decision_log(url)
        finally:
            os.seteuid(user)


async def test_a_decision_that_failed_keeps_the_server_unready_even_where_the_probe_succeeds(tmp_path: Path) -> None:
    log = open_decision_log(record_in(tmp_path))
    log.health.failed("database or disk is full")
    with pytest.raises(RecordUnavailable, match="full"):
        await log.check()
    await log.append(a_decision())
    await log.check()
    await log.close()


def test_the_cause_is_logged_at_once_and_then_every_ten_seconds() -> None:
    now, written = 0.0, io.StringIO()
    configure_logs("info", written)
    health = RecordHealth("the record", lambda: now)
    for second in range(25):
        now = float(second)
        health.failed("disk is 'full'", 10)
    assert [(line["reason"], line["count"]) for line in lines(written)] == [
        ("disk is full", 10),
        ("disk is full", 110),
        ("disk is full", 210),
    ]


@pytest.mark.slow
async def test_reports_that_wait_for_a_record_that_is_locked_do_not_take_the_place_of_calls(
    tmp_path: Path, as_of: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cds_hooks.call.routes.entrance.PATIENCE_SECONDS", 2.0)  # in other tests it is minutes
    report = {"card": "1", "outcome": "overridden", "outcomeTimestamp": "2026-01-01T00:00:00Z"}
    async with client(tmp_path, as_of=as_of) as calls:

        async def send() -> tuple[int, str, float]:
            begun = monotonic()
            answer = await calls.post(f"/cds-services/{PLANNING}/feedback", json={"feedback": [report]})
            return answer.status_code, answer.headers.get("retry-after", ""), monotonic() - begun

        with _locked(tmp_path):
            first, *waited = await asyncio.gather(*(send() for _ in range(20)))
        assert first[0] == 503
        assert {answer[:2] for answer in waited} == {(503, "1")}
        assert max(answer[2] for answer in waited) < first[2]
        assert (await send())[0] == 200
