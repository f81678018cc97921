"""The FHIR server of the kit, `call --fhir-server` and the prefetch rates as a person uses them together."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.live import serving
from tests.program import run_program


@contextmanager
def _fhir_server(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "cds_hooks.kit", "fhir-server", *options, "--port", "0"]
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
    database = f"sqlite:///{tmp_path}/decisions.sqlite3"
    with (
        serving(tmp_path, CDS_FETCH_MILLISECONDS="60000", CDS_CALL_SECONDS="120") as server,
        _fhir_server("sample:planning-talk", "--token", "t", "--page-size", "10") as fhir,
    ):
        source = ["call", "sample:planning-talk", "--service", "planning-conversation", "--fhir-server", fhir]
        source.append("--fhir-token")
        fetched = _run(server, *source, "t")
        refused = _run(server, *source, "wrong")
        in_part = _run(server, *source, "t", "--omit", "labs")
        asked = httpx.get(fhir.replace("/fhir", "/requests")).json()["requests"]
    assert "1 card" in fetched.stdout
    assert "1 card" in in_part.stdout
    assert refused.returncode == 1
    assert "failed with HTTP 412" in refused.stdout
    assert asked
    assert all(each["token"] for each in asked)
    stats = _run("", "services", "--prefetch-rates", "--json", CDS_DATABASE_URL=database)
    (rates,) = json.loads(stats.stdout)
    labs = next(key for key in rates["keys"] if key["key"] == "labs")
    # the call that was refused is on record too: its key could not be had
    assert (rates["calls"], labs["fetched"], labs["given"], labs["unobtainable"]) == (3, 2, 0, 1)
    assert rates["says"].startswith("anonymous sends 0 of 12 keys of planning-conversation; fetching costs ")
    table = _run("", "services", "--prefetch-rates", CDS_DATABASE_URL=database, COLUMNS="80").stdout
    assert re.search(r"labs +67%", table)
    assert rates["says"] in table


def test_stats_without_a_record_are_a_sentence(tmp_path: Path) -> None:
    done = _run("", "services", "--prefetch-rates", "--database", f"sqlite:///{tmp_path}/none.sqlite3")
    assert done.returncode == 1
    assert "there is no record" in done.stderr.lower()


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (["sample:nobody"], 2, "there is no sample"),
        (["/nowhere.json"], 2, "cannot be read"),
        (["sample:infant", "--mode", "sulking"], 2, "sulking"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(options: list[str], code: int, complaint: str) -> None:
    command = [sys.executable, "-m", "cds_hooks.kit", "fhir-server", *options, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
