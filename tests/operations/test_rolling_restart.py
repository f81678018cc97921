"""Two servers behind the shipped proxy are started again one after the other while calls come: each is answered."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from time import sleep

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.live import free_port, record_in, serving
from tests.operations.test_proxies import (
    HOST,
    KEY,
    TRUST,
    Authority,
    Proxy,
    client_context,
    signed,
    started_nginx,
    wait_for,
)

pytestmark = pytest.mark.slow
PATH = f"/cds-services/{PLANNING}"


@contextmanager
def _calling(proxy: Proxy) -> Iterator[Counter[str]]:
    """Sends signed calls, one after the other over kept connections, until the block ends; counts the answers."""
    answers: Counter[str] = Counter()
    ended = Event()
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))

    def call() -> None:
        with httpx.Client(verify=proxy.context, timeout=60, trust_env=False) as http:
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


def test_a_rolling_restart_of_two_servers_loses_no_call(tmp_path: Path) -> None:
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed here")
    site = Authority(tmp_path, "site")
    for source, name in zip(site.issue(HOST), ("server.pem", "server.key"), strict=True):
        shutil.copy(source, tmp_path / name)
    shutil.copy(site.file, tmp_path / "clients-ca.pem")
    (tmp_path / "keys.json").write_text(json.dumps(KEY.key_set()))
    (tmp_path / "trust.toml").write_text(TRUST)
    ports = (free_port(), free_port())

    def server(number: int) -> ExitStack:
        stack = ExitStack()
        folder = tmp_path / str(number)
        folder.mkdir(exist_ok=True)
        stack.enter_context(
            serving(
                folder,
                "--port",
                str(ports[number]),
                CDS_DATABASE_URL=record_in(tmp_path),
                CDS_TRUST_FILE=str(tmp_path / "trust.toml"),
                CDS_PUBLIC_URL=f"https://{HOST}",
                CDS_DRAIN_SECONDS="4",
            )
        )
        return stack

    servers = [server(0), server(1)]
    more = {"# server 127.0.0.1:8086": f"server 127.0.0.1:{ports[1]}", "rate=1r/s": "rate=1000r/s"}
    port = free_port()
    context = client_context(site.file, site.issue("ehr.example"))
    proxy = Proxy("nginx", port, "", tmp_path, context, context, context)
    try:
        with started_nginx(tmp_path, port, f"127.0.0.1:{ports[0]}", more=more):
            wait_for(port)
            with _calling(proxy) as answers:
                sleep(1)
                for number in (0, 1):
                    servers[number].close()
                    sleep(0.5)  # only the other one answers
                    servers[number] = server(number)
                sleep(1)
    finally:
        for stack in servers:
            stack.close()
    assert set(answers) == {"200"}
    assert answers["200"] > 100
