"""An afternoon of one installation, replayed bit for bit by another one that has its record and nothing else of it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from cds_hooks.call.services import find_services
from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError, last_event, move_dates, read_chart, resources_of
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for
from tests.live import serving

pytestmark = pytest.mark.slow

Json = dict[str, Any]
ADDRESS = "https://cds.example.org"
KEY = "7c" * 32
DRAFTS = ("naproxen-after-icu", "metformin-ckd4-coded")


class _Afternoon(NamedTuple):
    folder: Path
    backup: Path
    decisions: int


def _program(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`cds-hooks` as a process of its own in a folder with a record of its own."""
    (folder / "keys").write_text(KEY)
    settings = {
        "CDS_DATABASE_URL": f"sqlite:///{folder / 'decisions.sqlite3'}",
        "CDS_CONTENT_KEYS": str(folder / "keys"),
        "CDS_PUBLIC_URL": ADDRESS,
    }
    return subprocess.run(
        [sys.executable, "-m", "cds_hooks", *words],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def _charts(data: Path, now: datetime) -> Iterator[Chart]:
    """Every fifth sample, and a patient of Synthea, whom no model was fitted to."""
    for sample in list_samples()[::5]:
        yield Chart(resources_of(load_patient(sample.id, now)))
    for path in sorted((data / "fhir" / "synthea").glob("*.json.gz"))[:1]:
        resources = read_chart(path).resources
        last = last_event(resources)
        days = (now - timedelta(hours=1) - last) // timedelta(days=1) if last is not None else 0
        yield Chart(move_dates(resources, days))


def _requests(chart: Chart, now: datetime) -> Iterator[tuple[str, Json]]:
    drafts = drafts_for(chart, [each for name in DRAFTS for each in resources_of(load_draft(name, now))])
    for service in find_services(file="separate").values():
        for entry in service.discovery():
            try:
                yield entry["id"], build_request(entry, chart, drafts)
            except ChartError:
                continue


def _react(calls: httpx.Client, service: str, card: Json, number: int, now: datetime) -> None:
    """What clinicians do: one card in two is accepted or overridden; what came of a patient is known of some."""
    answer: Json = {"card": card["uuid"], "outcomeTimestamp": now.isoformat()}
    suggestions = card.get("suggestions") or []
    if number % 2 and suggestions:
        answer |= {"outcome": "accepted", "acceptedSuggestions": [{"id": suggestions[0]["uuid"]}]}
    else:
        reasons = card.get("overrideReasons") or []
        answer |= {"outcome": "overridden"} | ({"overrideReason": {"reason": reasons[0]}} if reasons else {})
    assert calls.post(f"/cds-services/{service}/feedback", json={"feedback": [answer]}).is_success
    if number % 3 == 0:
        outcome = {"prediction": card["uuid"], "outcome": "unknown"}
        assert calls.post("/outcomes", json={"outcomes": [outcome]}).is_success


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory, data_folder: Path) -> _Afternoon:
    """The record of an installation after mixed traffic, as a backup."""
    folder, now = tmp_path_factory.mktemp("here"), datetime.now(UTC)
    (folder / "keys").write_text(KEY)
    keys = str(folder / "keys")
    decisions = 0
    with (
        serving(folder, CDS_PUBLIC_URL=ADDRESS, CDS_CONTENT_KEYS=keys) as address,
        httpx.Client(base_url=address, timeout=180) as calls,
    ):
        for _ in range(2):  # the second time around the answers to the first are remembered
            for chart in _charts(data_folder, now):
                for service, request in _requests(chart, now):
                    answered = calls.post(f"/cds-services/{service}", json=request)
                    if not answered.is_success:
                        continue
                    decisions += 1
                    for number, card in enumerate(answered.json()["cards"], decisions):
                        if number % 4 == 0:
                            _react(calls, service, card, number // 4, now)
    backup = folder / "record.ndjson.xz"
    assert _program(folder, "record", "backup", str(backup)).returncode == 0
    return _Afternoon(folder, backup, decisions)


def _elsewhere(folder: Path, afternoon: _Afternoon) -> Path:
    """Another installation with this record."""
    restored = _program(folder, "record", "backup", "--restore", str(afternoon.backup))
    assert restored.returncode == 0, restored.stderr
    return folder


@pytest.mark.outside_data
def test_an_afternoon_is_replayed_bit_for_bit_on_another_machine(afternoon: _Afternoon, tmp_path: Path) -> None:
    there = _elsewhere(tmp_path, afternoon)
    done = _program(there, "replay", "--sample", "100%", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found["differing"][:3]
    by_facts = sum(row["count"] for row in found["decisions"] if row["outcome"] == "same")
    assert by_facts == afternoon.decisions
    assert afternoon.decisions > 60
