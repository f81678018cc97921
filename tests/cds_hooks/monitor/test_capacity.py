"""How many cards a day a threshold gives, counted from the record."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.monitor import capacity
from cds_hooks.storage import Decision
from models_onnx.serving.registry import load_model
from tests.cds_hooks.storage.samples import a_decision

MANIFEST: Any = SimpleNamespace(id="m", twin=None)
DAY = 86_400_000_000


def _scored(
    patient: str, day: int, percentile: float | None, model: str = "m", client: str = "a", since: int = 0
) -> Decision:
    basis = {"scores": {"id": model} | ({} if percentile is None else {"percentile": percentile})}
    return a_decision(patient=patient, client=client, decided_at=day * DAY + since, basis=json.dumps(basis).encode())


def test_a_patient_counts_once_a_day_with_the_highest_estimate() -> None:
    decisions = [
        _scored("p", 1, 50.0), _scored("p", 1, 70.0, since=DAY - 1), _scored("p", 1, 60.0), _scored("p", 2, 10.0),
        _scored("p", 1, 30.0, client="b"), _scored("q", 1, None), _scored("q", 1, 99.0, "other"),
        _scored("r", 1, 5.0, "t"),
        a_decision(basis=b"{}"),
    ]  # fmt: skip
    found = {("a", "p", 1): 70.0, ("a", "p", 2): 10.0, ("b", "p", 1): 30.0}
    assert capacity.highest_percentiles(decisions, MANIFEST) == found
    twin: Any = SimpleNamespace(id="m", twin=SimpleNamespace(id="t"))
    assert capacity.highest_percentiles(decisions, twin) == found | {("a", "r", 1): 5.0}


@pytest.mark.parametrize("patients", [99, 100])
def test_a_day_is_told_from_a_hundred_patients_on(patients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = load_model("mortality_5y").manifest
    decisions = [
        _scored(f"p{number}", 1, 94.0 + (number < 30) + 4 * (number < 10), manifest.id) for number in range(patients)
    ]
    asked: list[Any] = []

    def find(*given: Any) -> list[Decision]:
        asked.append(given)
        return decisions

    monkeypatch.setattr(capacity, "find_decisions", find)
    began = datetime.now(UTC)
    if patients < 100:
        with pytest.raises(capacity.TooFewScored, match="99 patients whom mortality_5y scored in the last 4 days"):
            capacity.capacity_of_record("url", manifest, 8.0, 4)
        return
    counted = capacity.capacity_of_record("url", manifest, 8.0, 4)
    by_share = {row.alerting.share: row.cards_a_day for row in counted.thresholds}
    assert (counted.patients_a_day, by_share[0.01], by_share[0.05], by_share[0.1]) == (25.0, 2.5, 7.5, 25.0)
    assert counted.chosen == 0.05
    ((url, wanted),) = asked
    since = datetime.fromtimestamp(wanted.since / 1e6, UTC)
    assert (url, timedelta(0) <= since + timedelta(days=4) - began < timedelta(minutes=10)) == ("url", True)
