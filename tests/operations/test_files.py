"""The files of docs/operations: alert rules and dashboard name metrics that exist, each alert has its runbook."""

import http.client
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from html import unescape
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from benchmarks.servers import running, service_command
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.metrics.page import page_of
from tests.conftest import ROOT
from tests.hardening.two_clients import body_of, call, write_site
from tests.live import free_port, record_in, serving
from tests.waiting import until

FOLDER = ROOT / "docs/operations"
_NAME = re.compile(r"\b(?:cds|process)_[a-z_]+")


def metric_names() -> set[str]:
    names = set()
    for line in page_of([Metrics().snapshot()]).decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {name} | (
                {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else set()
            )
    return names


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    alerts = re.findall(r"expr: (.*)", (FOLDER / "files/alerts.yml").read_text())
    panels = [
        panel["targets"][0]["expr"] for panel in json.loads((FOLDER / "files/dashboard.json").read_text())["panels"]
    ]
    assert len(alerts) >= 8
    assert len(panels) >= 8
    assert {name for text in (*alerts, *panels) for name in _NAME.findall(text)} - metric_names() == set()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    text = (FOLDER / "files/alerts.yml").read_text()
    alerts = re.findall(r"alert: (\w+)", text)
    assert re.findall(r"^## (\w+)", (FOLDER / "runbooks.md").read_text(), re.MULTILINE) == alerts
    assert re.findall(r"runbooks\.md#(\w+)", text) == [alert.lower() for alert in alerts]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_the_alerts_say_what_they_should_about_recorded_series(tmp_path: Path) -> None:
    series = Path(__file__).with_name("alerts_test.yml").read_text().replace("ALERTS", str(FOLDER / "files/alerts.yml"))
    (tmp_path / "alerts_test.yml").write_text(series)
    run = subprocess.run(["promtool", "test", "rules", "alerts_test.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    configuration = ["promtool", "check", "config", str(FOLDER / "files/prometheus.yml")]
    checked = subprocess.run(configuration, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


with_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (Debian: prometheus)")


@contextmanager
def _prometheus(folder: Path, listen: int, seconds: int) -> Iterator[Callable[[str], Any]]:
    """What asks a Prometheus with the shipped files, but for the ports and so many seconds in place of 15."""
    shutil.copy(FOLDER / "files/alerts.yml", folder)
    text = (FOLDER / "files/prometheus.yml").read_text().replace("127.0.0.1:9085", f"127.0.0.1:{listen}")
    (folder / "prometheus.yml").write_text(text.replace("_interval: 15s", f"_interval: {seconds}s"))
    port = free_port()
    own = "--storage.tsdb.path=data"  # Debian's own folder keeps what earlier runs saw
    options = ("--config.file=prometheus.yml", own, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error")
    with subprocess.Popen(["prometheus", *options], cwd=folder, stderr=subprocess.DEVNULL) as prometheus:
        try:
            ask = partial(_prometheus_says, port)
            _until(lambda: [row["value"][1] for row in ask("query?query=up")["result"]] == ["1"])
            _until(lambda: {rule["health"] for rule in _rules(ask)} == {"ok"})
            # The first evaluation may lie before the first reading, and a value before the second one.
            _until(lambda: {rule["state"] for rule in _rules(ask)} == {"inactive"})
            yield ask
        finally:
            prometheus.terminate()


@pytest.mark.slow
@with_prometheus
def test_a_running_prometheus_reads_the_server_and_says_when_it_is_away(tmp_path: Path) -> None:
    listen = free_port()
    environment = {"CDS_DATABASE_URL": record_in(tmp_path), "CDS_OPERATOR_LISTEN": f"127.0.0.1:{listen}"}
    with (
        running("service", service_command(), tmp_path, None, **environment) as server,
        _prometheus(tmp_path, listen, 1) as ask,
    ):
        _until(lambda: ask("query?query=cds_in_force")["result"])
        server.stop()
        _until(lambda: [rule["name"] for rule in _rules(ask) if rule["state"] != "inactive"] == ["CdsHooksDown"])


@pytest.mark.slow
@with_prometheus
def test_three_faults_at_once_are_told_within_a_minute_by_their_alerts_readyz_and_ops(tmp_path: Path) -> None:
    """Another program holds the record, the trust file has a mistake, and the rules file cannot be read."""
    key, _, trust = write_site(tmp_path, "https://fhir.example")
    rules, listen, orders = tmp_path / "rules.toml", free_port(), body_of(1, 1, 1, 1)
    rules.write_text("version = 1")
    environment = {"CDS_TRUST_FILE": str(trust), "CDS_RULES_FILE": str(rules)}
    environment["CDS_OPERATOR_LISTEN"] = f"127.0.0.1:{listen}"
    alerts = {"CdsHooksTrustFileRefused", "CdsHooksStoreOut", "CdsHooksRecordCannotBeWritten"}
    with (
        serving(tmp_path, before=None, constants={}, **environment) as address,
        _prometheus(tmp_path, listen, 15) as ask,
        closing(http.client.HTTPConnection("127.0.0.1", int(address.rpartition(":")[2]))) as calls,
        closing(sqlite3.connect(tmp_path / "decisions.sqlite3", isolation_level=None)) as other,
    ):
        assert call(calls, key, orders) == 200
        trust.write_text(trust.read_text() + "[[client]]\nname = 1\n")
        rules.write_text("version")
        other.execute("BEGIN IMMEDIATE")
        begun = monotonic()
        while alerts - {rule["name"] for rule in _rules(ask) if rule["state"] == "firing"}:
            assert call(calls, key, orders) == 503
            assert monotonic() - begun < 60
            sleep(1)
        ready = httpx.get(f"http://127.0.0.1:{listen}/readyz")
        assert ready.status_code == 503
        sentences = [*ready.json()["stores_out"], ready.json()["trust_file"]]
        page = unescape(httpx.get(f"http://127.0.0.1:{listen}/ops").text)
        assert [sentence for sentence in sentences if sentence not in page] == []
        assert "the decisions cannot be recorded" in ready.json()["status"]


def _prometheus_says(port: int, path: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}").raise_for_status().json()["data"]  # 503 while it starts


def _rules(ask: Callable[[str], Any]) -> list[dict[str, Any]]:
    return [rule for group in ask("rules")["groups"] for rule in group["rules"]]


def _is_on(rule: dict[str, Any]) -> bool:
    return rule["state"] in ("pending", "firing")


def _until(holds: Callable[[], Any]) -> None:
    """Return when it holds; Prometheus answers nothing until it has read its files."""

    def does() -> Any:
        with suppress(httpx.HTTPError, KeyError):
            return holds()

    until(does)


def certificates(folder: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=cds.example.org", "-days", "2"]
    subprocess.run(
        [*command, "-keyout", folder / "server.key", "-out", folder / "server.pem"], check=True, capture_output=True
    )
    shutil.copy(folder / "server.pem", folder / "clients-ca.pem")


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="nginx is not installed")
def test_nginx_takes_its_file(tmp_path: Path) -> None:
    certificates(tmp_path)
    shutil.copy(FOLDER / "files/cds-hooks-proxy.conf", tmp_path)
    text = (FOLDER / "files/nginx.conf").read_text()
    text = text.replace("/etc/nginx/tls", str(tmp_path)).replace("/etc/nginx", str(tmp_path)).replace("443", "18443")
    # Whoever is not root may not write into the log folder that nginx was built with.
    text = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log {tmp_path}/access.log;\n{text}\n}}\n"
    (tmp_path / "nginx.conf").write_text(text)
    command = ["nginx", "-t", "-e", f"{tmp_path}/error.log", "-p", f"{tmp_path}", "-c", f"{tmp_path}/nginx.conf"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("caddy") and shutil.which("openssl")), reason="caddy is not installed")
def test_caddy_takes_its_file(tmp_path: Path) -> None:
    certificates(tmp_path)
    text = (FOLDER / "files/Caddyfile").read_text().replace("/etc/caddy/tls", str(tmp_path))
    (tmp_path / "Caddyfile").write_text(text)
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_its_unit(tmp_path: Path) -> None:
    text = (FOLDER / "files/cds-hooks.service").read_text()
    (program,) = re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE)
    unit = tmp_path / "cds-hooks.service"
    for written, complains in ((text, False), (text.replace("ProtectSystem", "ProtectSystm"), True)):
        unit.write_text(written.replace(program, "/bin/true"))  # what is not installed here is no mistake of the unit
        command = ["systemd-analyze", "verify", "--man=no", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True)
        about_it = [line for line in (done.stdout + done.stderr).splitlines() if "cds-hooks" in line]
        assert bool(about_it) == complains, about_it
