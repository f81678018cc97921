"""Budgets and answers are the same for all workers of a server and all machines of a record."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from tests.cds_hooks.calls import PLANNING, counted_request_for
from tests.cds_hooks.conftest import postgres_server, postgres_url
from tests.cds_hooks.hold_back.restraint_calls import (
    CRITICAL,
    PATIENT,
    SIGN,
    WARNINGS,
    feedback,
    indicators,
    order_sign,
    reasons,
)
from tests.live import record_in, serving

__all__ = ["postgres_server", "postgres_url"]

pytestmark = pytest.mark.slow

_RULES = 'version = 1\n[[budget]]\nof = "user"\ncards_per_day = 3\nnote = "a trial"\n'


def _sign(address: str, as_of: datetime, *drafts: str, user: str, patient: str = PATIENT) -> httpx.Response:
    """A call over a connection of its own, so that any worker can get it."""
    request = json.loads(json.dumps(order_sign(*drafts, user=user, as_of=as_of)).replace(PATIENT, patient))
    answered = httpx.post(f"{address}/cds-services/{SIGN}", json=request, timeout=60)
    assert answered.status_code == 200, answered.text
    return answered


def _until_everywhere(addresses: Sequence[str], holds: Callable[[str], bool]) -> None:
    """Waits until it holds for twelve connections in a row to each address, by which every worker was asked."""
    end = monotonic() + 120
    while not all(holds(address) for address in addresses for _ in range(12)):
        assert monotonic() < end, "it did not become so everywhere"
        sleep(0.2)


def _check_budget(addresses: Sequence[str], as_of: datetime) -> None:
    answers = [
        _sign(addresses[n % len(addresses)], as_of, *WARNINGS, CRITICAL, user="Practitioner/1") for n in range(8)
    ]
    assert sum(indicators(each).count("warning") for each in answers) == 3
    assert all(indicators(each)[-1] == "critical" for each in answers)
    assert len(reasons(answers[-1], "budget")) == 2


def _plan(address: str, as_of: datetime, user: str, patient: str = "planning-talk") -> httpx.Response:
    request = counted_request_for(PLANNING, "patient-view", "planning-talk", as_of)
    request["context"]["userId"] = user
    request = json.loads(json.dumps(request).replace('planning-talk"', f'{patient}"'))
    answered = httpx.post(f"{address}/cds-services/{PLANNING}", json=request, timeout=60)
    assert answered.status_code == 200, answered.text
    return answered


def _check_answer(addresses: Sequence[str], as_of: datetime) -> None:
    def plan(address: str) -> httpx.Response:
        return _plan(address, as_of, f"Practitioner/{monotonic()}")

    (card,) = plan(addresses[0]).json()["cards"]
    accepted = feedback(card, card["suggestions"][0]["uuid"])
    sent = httpx.post(f"{addresses[-1]}/cds-services/{PLANNING}/feedback", json=accepted, timeout=60)
    assert sent.status_code == 200, sent.text
    _until_everywhere(addresses, lambda address: plan(address).json()["cards"] == [])


def _check_loop(addresses: Sequence[str], as_of: datetime) -> None:
    def again(address: str) -> httpx.Response:
        return _sign(address, as_of, "edoxaban-60-crcl-high", user=f"Practitioner/{monotonic()}")

    (card,) = again(addresses[0]).json()["cards"]
    accepted = feedback(card, card["suggestions"][0]["uuid"])
    assert httpx.post(f"{addresses[-1]}/cds-services/{SIGN}/feedback", json=accepted, timeout=60).status_code == 200
    _until_everywhere(addresses, lambda address: bool(reasons(again(address), "loop-guard")))


def _check_all(addresses: Sequence[str], as_of: datetime, url: str) -> None:
    _check_budget(addresses, as_of)
    _check_answer(addresses, as_of)
    _check_loop(addresses, as_of)


def _settings(folder: Path, as_of: datetime) -> dict[str, Any]:
    (folder / "rules.toml").write_text(_RULES)
    return {
        "CDS_RULES_FILE": str(folder / "rules.toml"),
        "CDS_USER_KEYS": str(folder / "user-keys.txt"),
        "CDS_AS_OF": as_of.isoformat(),
    }


def test_the_workers_of_a_server_on_sqlite(tmp_path: Path, as_of: datetime) -> None:
    settings = _settings(tmp_path, as_of)
    with serving(tmp_path, "--workers", "3", before=None, **settings) as address:
        _check_all([address], as_of, record_in(tmp_path))


def test_two_machines_on_one_postgresql(tmp_path: Path, postgres_url: str, as_of: datetime) -> None:
    settings = _settings(tmp_path, as_of) | {"CDS_DATABASE_URL": postgres_url}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with (
        serving(tmp_path / "one", before=None, **settings) as one,
        serving(tmp_path / "other", before=None, **settings) as other,
    ):
        _check_all([one, other], as_of, postgres_url)
