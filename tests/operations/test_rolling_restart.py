"""Two servers behind the shipped proxy are started again one after the other while calls come: each is answered."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from threading import Event, Thread
from time import sleep
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.live import free_port, is_listening, record_in, serving
from tests.operations.test_proxies import (
    HOST,
    KEY,
    TRUST,
    Authority,
    Proxy,
    client_context,
    signed,
    started_caddy,
    started_nginx,
)
from tests.waiting import until

pytestmark = pytest.mark.slow
PATH = f"/cds-services/{PLANNING}"
DRAINING = MappingProxyType(
    {"CDS_PUBLIC_URL": f"https://{HOST}", "CDS_DRAIN_SECONDS": "4", "CDS_TRUSTED_PROXIES": "127.0.0.1/32"}
)


@contextmanager
def _calling(proxy: Proxy) -> Iterator[Counter[str]]:
    """Sends signed calls, one after the other over kept connections, until the block ends; counts the answers."""
    answers: Counter[str] = Counter()
    ended = Event()
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))

    def call() -> None:
        with httpx.Client(verify=proxy.context, timeout=180, trust_env=False) as http:
            while not ended.is_set():
                headers = {"host": HOST} | signed(PATH)
                answer = http.post(proxy.url + PATH, json=body, headers=headers, extensions={"sni_hostname": HOST})
                answers[str(answer.status_code)] += 1
                sleep(0.02)

    threads = [Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield answers
    ended.set()
    for thread in threads:
        thread.join(60)


class Site:
    """Two servers on one record behind the shipped proxy."""

    def __init__(
        self, folder: Path, record: str = "", operators: Sequence[str] = (), environment: Mapping[str, str] = DRAINING
    ) -> None:
        self._folder = folder
        self._record = record or record_in(folder)
        self._operators = operators
        self._environment = environment
        self._ports = (free_port(), free_port())
        site = Authority(folder, "site")
        for source, name in zip(site.issue(HOST), ("server.pem", "server.key"), strict=True):
            shutil.copy(source, folder / name)
        shutil.copy(site.file, folder / "clients-ca.pem")
        (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
        (folder / "trust.toml").write_text(TRUST)
        context = client_context(site.file, site.issue("ehr.example"))
        self._proxy = Proxy("nginx", free_port(), "", folder, context, context, context)

    def server(self, number: int) -> ExitStack:
        stack = ExitStack()
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        settings: dict[str, Any] = dict(self._environment)
        if self._operators:
            settings["CDS_OPERATOR_LISTEN"] = self._operators[number]
        settings |= {"CDS_DATABASE_URL": self._record, "CDS_TRUST_FILE": str(self._folder / "trust.toml")}
        stack.enter_context(serving(folder, "--port", str(self._ports[number]), **settings))
        return stack

    def kill(self, number: int) -> None:
        """Ends a server as a lack of memory does."""
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        port = str(self._ports[number]).encode()
        (pid,) = [pid for pid in children if port in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
        os.kill(int(pid), SIGKILL)

    def _started(self, program: str) -> AbstractContextManager[None]:
        first, second = (f"127.0.0.1:{port}" for port in self._ports)
        if program == "caddy":
            return started_caddy(self._folder, self._proxy.port, f"{first} {second}")
        more = {"# server 127.0.0.1:8086": f"server {second}", "rate=1r/s": "rate=1000r/s"}
        return started_nginx(self._folder, self._proxy.port, first, more=more)

    @contextmanager
    def calling(self, program: str = "nginx") -> Iterator[tuple[Counter[str], list[ExitStack]]]:
        """Yields the answers to calls, as they come, and the two servers."""
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed here")
        servers = [self.server(0), self.server(1)]
        try:
            with self._started(program):
                until(lambda: is_listening(self._proxy.port))
                with _calling(self._proxy) as answers:
                    sleep(1)
                    yield answers, servers
                    sleep(1)
        finally:
            for stack in servers:
                stack.close()


def _wait_for_new_calls(answers: Counter[str]) -> None:
    """Waits until each call that met a server that was away is answered: one of two servers can be lost, not both."""
    enough = answers.total() + 40
    until(lambda: answers.total() >= enough, "the callers stand still")


@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_a_rolling_restart_of_two_servers_loses_no_call(tmp_path: Path, program: str) -> None:
    site = Site(tmp_path)
    with site.calling(program) as (answers, servers):
        for number in (0, 1):
            servers[number].close()
            sleep(0.5)  # only the other one answers
            servers[number] = site.server(number)
            _wait_for_new_calls(answers)
    assert set(answers) == {"200"}
    assert answers["200"] >= 80


def test_the_end_of_a_server_under_its_calls_loses_none(tmp_path: Path) -> None:
    """What it had answered is answered from the record by the other one; what it had not is computed there."""
    site = Site(tmp_path)
    with site.calling() as (answers, servers):
        for number in (0, 1):
            site.kill(number)
            sleep(0.5)
            servers[number].close()
            servers[number] = site.server(number)
            _wait_for_new_calls(answers)
    assert set(answers) == {"200"}
    assert answers["200"] >= 80
