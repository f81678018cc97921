"""The processes of compose.yaml with its files and settings, without containers, while one after the other ends."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any

import httpx
import pytest

from cds_hooks.evidence.audit.verification import audit
from tests.cds_hooks.evidence.storage.test_kept_connections import restarted
from tests.live import free_port, is_listening
from tests.operations.test_proxies import FILES, running
from tests.operations.test_rolling_restart import Site
from tests.recorded import list_decisions
from tests.waiting import until

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the tools of the slow tests")
pytestmark = pytest.mark.slow
__all__ = ["restarted"]


def _environment() -> dict[str, str]:
    """The settings of the server in compose.yaml but for its addresses and files, which are those of the test."""
    server = yaml.safe_load((FILES / "compose.yaml").read_text())["services"]["server"]
    elsewhere = ("CDS_DATABASE_URL", "CDS_TRUST_FILE", "CDS_OPERATOR_LISTEN", "PGPASSFILE")
    return {name: value for name, value in server["environment"].items() if name not in elsewhere}


@contextmanager
def _prometheus(folder: Path, operators: list[str]) -> Iterator[str]:
    """Prometheus with the shipped files, its targets at these addresses and its times a thirtieth."""
    text = (FILES / "prometheus.yml").read_text()
    targets = ", ".join(f'"{operator}"' for operator in operators)
    for old, new in (('"127.0.0.1:9085"]', f"{targets}]"), ("_interval: 15s", "_interval: 1s")):
        assert old in text
        text = text.replace(old, new)
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(FILES / "alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}"]
    with running([*command, f"--storage.tsdb.path={folder}/metrics"], folder):
        until(lambda: is_listening(int(address.rpartition(":")[2])))
        yield f"http://{address}/api/v1"


def _value(prometheus: str, query: str) -> float:
    answer = httpx.get(f"{prometheus}/query", params={"query": query})
    result = answer.json()["data"]["result"] if answer.is_success else []  # 503 while it starts
    return float(result[0]["value"][1]) if result else float("nan")


def _until(prometheus: str, query: str, value: float) -> None:
    until(lambda: _value(prometheus, query) == value, query)


def test_the_night_of_the_processes_of_compose(restarted: Any, tmp_path: Path) -> None:
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed here; on Debian: apt-get install prometheus")
    operators = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    record = restarted.start()
    site = Site(tmp_path, record, operators, _environment())
    with _prometheus(tmp_path, operators) as prometheus, site.calling() as (answers, servers):
        _until(prometheus, 'sum(up{job="cds-hooks"})', 2)
        rules = httpx.get(f"{prometheus}/rules").json()["data"]["groups"]
        assert sum(len(group["rules"]) for group in rules) >= 8
        site.kill(0)
        _until(prometheus, 'sum(up{job="cds-hooks"})', 1)
        servers[0].close()
        servers[0] = site.server(0)
        _until(prometheus, 'sum(up{job="cds-hooks"})', 2)
        assert set(answers) == {"200"}
        restarted.stop()
        sleep(2)
        assert restarted.start() == record
        after = answers["200"]
        until(lambda: answers["200"] > after + 100)
        until(lambda: _value(prometheus, "sum(cds_requests_total)") > 0)
    # without the record there is no advice, and what was answered is in it
    assert set(answers) <= {"200", "503"}
    assert len(list_decisions(record, limit=100_000)) >= answers["200"] > 100
    assert audit(record, []).findings == []
