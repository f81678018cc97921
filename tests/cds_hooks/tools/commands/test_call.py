"""`cds-hooks call` as a person uses it, against a real server."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.samples import load_patient
from tests.each import each_row
from tests.http_server import Asked, Reply, answering
from tests.live import serving
from tests.program import run_program


def _call(server: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_program("call", *options, environment={"CDS_PUBLIC_URL": server} | environment)


def _answers(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_sample_is_called_and_its_card_drawn(server_here: str) -> None:
    done = _call(server_here, "sample:planning-talk")
    assert done.returncode == 0, done.stderr
    assert "1 card" in done.stdout
    assert "Order a planning conversation" in done.stdout


@pytest.mark.parametrize("width", ["20", "40", "80", "200"])
def test_the_table_of_the_samples_is_never_cut_at_any_width(width: str) -> None:
    samples = json.loads(_call("", "--json").stdout)
    printed = set(_call("", COLUMNS=width).stdout.replace(",", " ").split())
    for sample in samples:
        drafts = [order["draft"] for order in sample["orders"]]
        assert {sample["id"], *drafts, *sample["title"].replace(",", " ").split()} <= printed


def test_a_draft_goes_to_order_select(server_here: str) -> None:
    done = _call(server_here, "sample:ckd4-metformin", "--draft", "sample:metformin-ckd4-coded", "--json")
    payers, answer = sorted(_answers(done), key=lambda line: str(line["service"]))
    assert (answer["hook"], answer["status"]) == ("order-select", 200)
    assert answer["answer"]["cards"][0]["indicator"] == "critical"
    assert payers["answer"]["cards"] == []


def test_curl_prints_commands_that_do_the_same(server_here: str) -> None:
    printed = _call(server_here, "sample:planning-talk", "--service", "planning-conversation", "--curl").stdout
    done = subprocess.run(["bash", "-c", printed], capture_output=True, text=True, timeout=180)
    assert len(json.loads(done.stdout)["cards"]) == 1


def test_a_chart_can_be_moved_to_today(server_here: str) -> None:
    done = _call(server_here, "sample:planning-talk", "--shift-dates")
    assert done.returncode == 0
    assert "All dates moved by" in done.stdout
    # What a program reads holds nothing but JSON or commands.
    for option, first in (("--json", "{"), ("--curl", "curl ")):
        done = _call(server_here, "sample:planning-talk", "--shift-dates", option)
        assert all(line.startswith(first) for line in done.stdout.splitlines())
        assert "All dates moved by" in done.stderr


@each_row(("options", "code", "complaint"))
def test_a_mistake_is_answered_with_a_sentence(server_here: str, options: list[str], code: int, complaint: str) -> None:
    done = _call(server_here, *options)
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_strange_server_does_not_steer_the_terminal() -> None:
    steering = "\x1b]0;title\x07\x1b[2J"
    card = {"summary": steering, "detail": steering, "indicator": "info", "source": {"label": steering}}
    service = {"hook": "patient-view", "id": f"a/b{steering}", "title": steering, "description": steering}

    def reply(asked: Asked) -> Reply:
        return 200, {}, json.dumps({"services": [service]} if asked.method == "GET" else {"cards": [card]}).encode()

    with answering(reply) as strange:
        answer = run_program("call", "sample:planning-talk", "--url", strange)
    assert answer.returncode == 0, answer.stderr
    assert "1 card" in answer.stdout
    assert "\x1b]" not in answer.stdout + answer.stderr
    assert "\x1b[2J" not in answer.stdout + answer.stderr


@contextmanager
def _fhir_server(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "cds_hooks.tools.kit", "fhir-server", *options, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://\S+/fhir", line)
        assert address, line
        try:
            yield address[0]
        finally:
            process.terminate()


def _run(server: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_program(*words, environment=({"CDS_PUBLIC_URL": server} if server else {}) | environment)


@pytest.mark.slow
def test_a_call_reads_from_the_server_and_the_record_says_what_it_cost(tmp_path: Path) -> None:
    database, chart = f"sqlite:///{tmp_path}/decisions.sqlite3", tmp_path / "own.json"
    sample = json.dumps(load_patient("planning-talk", datetime.now(UTC)))
    chart.write_text(sample.replace('planning-talk"', 'own"'))  # the calls of a sample patient are trials
    with (
        serving(tmp_path, constants={"fetch_milliseconds": 60_000}, CDS_CALL_SECONDS="120") as server,
        _fhir_server(str(chart), "--token", "t", "--page-size", "10") as fhir,
    ):
        source = ["call", str(chart), "--service", "planning-conversation", "--fhir-server", fhir]
        source.append("--fhir-token")
        fetched = _run(server, *source, "t")
        refused = _run(server, *source, "wrong")
        in_part = _run(server, *source, "t", "--omit", "labs")
    assert "1 card" in fetched.stdout
    assert "1 card" in in_part.stdout
    assert refused.returncode == 1
    assert "failed with HTTP 412" in refused.stdout
    stats = _run("", "settings", "--prefetch-rates", "--json", CDS_DATABASE_URL=database)
    (rates,) = json.loads(stats.stdout)
    labs = rates["keys"]["labs"]
    # the call that was refused is on record too: its key could not be had
    assert (rates["calls"], labs) == (3, {"fetched": 2, "unobtainable": 1})
    assert rates["says"] == "anonymous sends 0 of 12 keys of planning-conversation."
    table = _run("", "settings", "--prefetch-rates", CDS_DATABASE_URL=database, COLUMNS="80").stdout
    assert re.search(r"labs +67%", table)
    assert rates["says"] in table
