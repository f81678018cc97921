"""What is decided before a server serves: where it listens, what stops it, and how it is configured."""

import asyncio
import gc
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from cds_hooks.commands import serve
from cds_hooks.edge import BoundedHttp
from cds_hooks.events.declaration import DeclarationFault
from cds_hooks.hold_back.governance import RulesFileError
from cds_hooks.security.trust_file import TrustFileError
from cds_hooks.server import server_config
from cds_hooks.settings import Settings


class Site:
    """The settings of these tests; how often they were read anew."""

    def __init__(self) -> None:
        self.now: Any = Settings()
        self.cleared = 0

    def __call__(self) -> Any:
        return self.now

    def cache_clear(self) -> None:
        """Count it."""
        self.cleared += 1


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """Settings that a test changes; the environment is as before afterwards."""
    site = Site()
    monkeypatch.setattr(serve, "settings", site)
    monkeypatch.setattr(serve, "raise_descriptor_limit", lambda: None)
    for name in ("CDS_PUBLIC_URL", "CDS_METRICS_DIR"):
        monkeypatch.setenv(name, "before")  # so that it is put back
        monkeypatch.delenv(name)
    return site


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets to close."""
    sockets: list[socket.socket] = []
    yield sockets
    for listening in sockets:
        listening.close()


def refusal(start: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code and the sentence with which a start ends."""
    with pytest.raises(typer.Exit) as ended:
        start()
    return ended.value.exit_code, " ".join(capsys.readouterr().err.split())


def test_without_a_trust_file_only_this_machine_is_listened_on(
    site: Site, opened: list[socket.socket], capsys: pytest.CaptureFixture[str]
) -> None:
    code, words = refusal(lambda: serve._listen("0.0.0.0", 0), capsys)  # noqa: S104 - it is refused
    assert code == 2
    assert "it listens on this machine only, not on 0.0.0.0." in words
    opened.append(serve._listen("0.0.0.0", 0, any_host=True))  # noqa: S104 - closed at once
    opened.append(serve._listen("127.0.0.1", 0))
    port = opened[1].getsockname()[1]
    assert (os.environ["CDS_PUBLIC_URL"], site.cleared) == (f"http://127.0.0.1:{port}", 2)
    assert opened[1].get_inheritable()
    assert opened[1].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert opened[1].family == socket.AF_INET
    site.now = SimpleNamespace(trust_file=Path("t"), model_fields_set={"public_url"})
    os.environ["CDS_PUBLIC_URL"] = "as set"
    opened.append(serve._listen("0.0.0.0", 0))  # noqa: S104 - closed at once
    assert (os.environ["CDS_PUBLIC_URL"], site.cleared) == ("as set", 2)


def test_a_port_in_use_is_named(site: Site, opened: list[socket.socket], capsys: pytest.CaptureFixture[str]) -> None:
    opened.append(serve._listen("127.0.0.1", 0))
    opened[0].listen()
    port = opened[0].getsockname()[1]
    code, words = refusal(lambda: serve._listen("127.0.0.1", port), capsys)
    assert code == 1
    assert f"Port {port} on 127.0.0.1 cannot be used (" in words
    assert site.cleared == 1


def test_the_operator_s_listener_is_a_port_or_a_file_of_the_server_s_user(
    site: Site, opened: list[socket.socket], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.now = SimpleNamespace(operator_address=None)
    assert serve._operator_sockets() == []
    site.now = SimpleNamespace(operator_address=("127.0.0.1", 0))
    opened += serve._operator_sockets()
    assert opened[0].family == socket.AF_INET
    path = tmp_path / "operator.sock"
    before = os.umask(0o022)
    try:
        for _ in range(2):  # the second time the file of the first is there
            site.now = SimpleNamespace(operator_address=(str(path), None))
            opened += serve._operator_sockets()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [listening.get_inheritable() for listening in opened] == [True] * 3
    path.unlink()
    path.write_text("no socket")
    code, words = refusal(serve._operator_sockets, capsys)
    assert code == 1
    assert words.startswith("CDS_OPERATOR_LISTEN cannot be listened on (") or "CDS_OPERATOR_LISTEN cannot" in words


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"trust_file": Path("t"), "as_of": "2026-01-01"}, 2, "CDS_AS_OF is for the development profile"),
        ({"login": "accounts", "public_url": "http://cds.example"}, 2, "CDS_LOGIN=accounts: passwords would be sent"),
        ({"login": "both", "public_url": "http://cds.example"}, 2, "CDS_LOGIN=both: passwords would be sent"),
        ({"metrics_dir": Path("/nowhere/at/all")}, 1, "The folder /nowhere/at/all of CDS_METRICS_DIR is not there"),
    ],
)
def test_settings_that_cannot_be_served_with_are_named(
    changes: dict[str, Any], code: int, words: str, site: Site, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plain = {"trust_file": None, "as_of": None, "login": "none", "public_url": "http://x", "metrics_dir": None}
    site.now = SimpleNamespace(**plain | changes, events_file=None)
    opened: list[str] = []

    async def open_all() -> None:
        opened.append("all")

    monkeypatch.setattr(serve, "_open_all", open_all)
    ended, sentence = refusal(serve._check_start, capsys)
    assert (ended, opened) == (code, [])
    assert words in sentence
    for good in ({"trust_file": Path("t")}, {"as_of": "2026-01-01"}, {"login": "both", "public_url": "https://x"}):
        site.now = SimpleNamespace(**plain | good, events_file=None)
        serve._check_start()
    assert opened == ["all"] * 3


class Server:
    """A server that runs at once."""

    def __init__(self, started: bool) -> None:
        self.started, self.sockets = started, None

    def run(self, sockets: Any) -> None:
        """Keep the sockets."""
        self.sockets = sockets


def test_to_be_stopped_is_no_failure_and_not_to_have_started_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[int] = []
    monkeypatch.setattr(signal, "signal", lambda number, _: stopped.append(number))
    good: Any = Server(started=True)
    serve._run_until_stopped(good, ["sockets"])  # type: ignore[list-item]
    assert (good.sockets, stopped) == (["sockets"], [signal.SIGINT, signal.SIGTERM])
    bad: Any = Server(started=False)
    with pytest.raises(typer.Exit) as ended:
        serve._run_until_stopped(bad, [])
    assert ended.value.exit_code == 3


def test_one_process_serves_itself_and_several_have_a_supervisor_and_a_folder_for_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(gc, "disable", lambda: done.append("no collection"))
    monkeypatch.setattr(os, "umask", lambda mask: done.append(mask))
    monkeypatch.setattr(serve, "_check_start", lambda: done.append("checked"))
    monkeypatch.setattr(serve, "_listen", lambda *address, any_host: (*address, any_host))
    monkeypatch.setattr(serve, "_operator_sockets", lambda: ["operator"])
    monkeypatch.setattr(serve, "_run_until_stopped", lambda server, sockets: done.append((server, sockets)))
    monkeypatch.setattr(serve, "DrainingServer", lambda config: ("server", config.workers))

    class Supervisor:
        """Writes down what it supervises."""

        def __init__(self, config: Any, sockets: Any) -> None:
            done.append((config.workers, sockets, Path(os.environ["CDS_METRICS_DIR"]).is_dir()))

        def run(self) -> None:
            """End at once."""

    monkeypatch.setattr(serve, "Supervisor", Supervisor)
    sockets = [("127.0.0.1", 8085, False), "operator"]
    serve.serve(workers=1)
    assert done == ["no collection", 0o077, "checked", (("server", 1), sockets)]
    serve.serve(workers=2)
    assert done[4:] == ["no collection", 0o077, "checked", (2, sockets, True)]
    assert site.cleared == 1
    site.now = SimpleNamespace(model_fields_set=frozenset(), metrics_dir=Path("counts"))
    monkeypatch.setenv("CDS_METRICS_DIR", "counts")
    serve._serve_with(3, [])
    assert (done[-1], site.cleared, os.environ["CDS_METRICS_DIR"]) == ((3, [], False), 1, "counts")


def test_a_server_trusts_no_header_about_addresses_and_writes_no_access_log() -> None:
    config = server_config(3)
    assert (config.workers, config.factory, config.app) == (3, True, "cds_hooks.app:create_app")
    assert (config.access_log, config.proxy_headers, config.server_header) == (False, False, False)
    assert (config.ws, config.log_level, config.http) == ("none", "warning", BoundedHttp)
    assert (config.timeout_graceful_shutdown, config.timeout_worker_healthcheck) == (10, 30)


def test_feeds_that_are_declared_wrongly_are_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.now = SimpleNamespace(events_file=None)
    serve._check_events()
    file = tmp_path / "events.toml"
    file.write_text("[feed.lab]\nkind = 'unheard'\n")
    site.now = Settings(events_file=file)
    monkeypatch.setattr(serve, "services_for", lambda _: {})
    with pytest.raises(DeclarationFault, match="unheard"):
        serve._check_events()


def test_serve_shows_the_cards_beside_the_server_it_starts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from cds_hooks.commands import showcase

    done: list[Any] = []
    listening: Any = SimpleNamespace(getsockname=lambda: ("127.0.0.1", 4711))
    monkeypatch.setattr(os, "umask", lambda mask: done.append(mask))
    monkeypatch.setattr(gc, "disable", lambda: None)
    monkeypatch.setattr(
        serve, "_listen", lambda *address, any_host: listening if address == ("localhost", 1) else any_host
    )
    monkeypatch.setattr(serve, "_check_start", lambda: done.append("checked"))
    monkeypatch.setattr(serve, "_operator_sockets", lambda: ["operator"])
    monkeypatch.setattr(serve, "DrainingServer", lambda config: ("server", config.workers))
    shown = threading.Event()

    def show(address: str) -> None:
        done.append((address, threading.current_thread().daemon))
        shown.set()

    monkeypatch.setattr(showcase, "show", show)

    def run(*what: Any) -> None:
        shown.wait(5)
        done.append(what)

    monkeypatch.setattr(serve, "_run_until_stopped", run)
    serve.serve("localhost", 1, show=True)
    assert done == [
        0o077, "checked", ("http://localhost:4711", True), (("server", 1), [listening, "operator"]),
    ]  # fmt: skip


def test_everything_that_a_server_needs_is_opened_once(site: Site, tmp_path: Path) -> None:
    site.now = Settings(database_url=f"sqlite:///{tmp_path}/record.sqlite3")
    asyncio.run(serve._open_all())
    assert (tmp_path / "record.sqlite3").is_file()
    url, none = site.now.database_url, tmp_path / "none.toml"
    for wrong in (Settings(database_url=url, rules_file=none), Settings(database_url=url, trust_file=none)):
        site.now = wrong
        with pytest.raises((RulesFileError, TrustFileError)):
            asyncio.run(serve._open_all())


def test_feeds_without_their_extra_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.now = SimpleNamespace(events_file=Path("events.toml"))
    monkeypatch.setitem(sys.modules, "cds_hooks.events.runner", None)
    code, words = refusal(serve._check_events, capsys)
    extra = "CDS_EVENTS_FILE declares feeds, which need the extra: pip install 'cds-hooks-onnx[events]'."
    assert (code, words) == (2, extra)


@pytest.mark.parametrize("trust_file", [None, Path("trust.toml")])
def test_what_the_settings_name_is_opened_and_nothing_else(
    trust_file: Path | None, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def noted(name: str, answer: Any = None) -> Any:
        def call(*given: Any) -> Any:
            opened.append((name, *given))
            return answer

        return call

    async def close() -> None:
        opened.append("closed")

    closing = SimpleNamespace(close=lambda: opened.append("closed"))
    monkeypatch.setattr(serve, "open_tracing", noted("tracing", closing))
    monkeypatch.setattr(serve, "open_decision_log", noted("log", SimpleNamespace(close=close)))
    monkeypatch.setattr(serve, "open_trust", noted("trust", SimpleNamespace(aclose=close)))
    for name in ("services_for", "read_rules_file", "Sealing", "trusted_keys", "use_site_keys", "open_user_names"):
        monkeypatch.setattr(serve, name, noted(name))
    bare = {
        "dialect": "standard", "hooks_file": None, "rules_file": None, "seal_key": None, "model_keys": None,
        "trust_file": trust_file, "record_user": "hashed", "user_keys": Path("k"), "database_url": "url",
        "public_url": "https://cds.example",
    }  # fmt: skip
    site.now = SimpleNamespace(**bare)
    asyncio.run(serve._open_all())
    record: list[Any] = [
        ("use_site_keys", site.now),
        ("open_user_names", "hashed", Path("k")),
        ("log", "url"),
        "closed",
    ]
    trust: list[Any] = [("trust", trust_file, "https://cds.example", "url"), "closed"]
    assert opened == [("tracing", site.now), "closed", ("trusted_keys",), *record, *trust]
    opened.clear()
    files = {name: Path(name) for name in ("hooks_file", "rules_file", "seal_key", "model_keys")}
    site.now = SimpleNamespace(**bare | files)
    asyncio.run(serve._open_all())
    record[0] = ("use_site_keys", site.now)
    assert opened == [
        ("services_for", site.now), ("tracing", site.now), "closed", ("read_rules_file", Path("rules_file")),
        ("Sealing", site.now), ("trusted_keys", Path("model_keys")), *record, *trust,
    ]  # fmt: skip
