"""Bodies are requests that a client could really send, of the size that was asked for."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.bodies import build_body
from benchmarks.charts import Stay, Window, load_stays, windows
from cds_hooks.settings import settings

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SERVICE = {
    "hook": "patient-view",
    "id": "any",
    "prefetch": {
        "patient": "Patient/{{context.patientId}}",
        "labs": "Observation?patient={{context.patientId}}&code=http://loinc.org|2160-0,http://loinc.org|3094-0"
        "&_sort=-date&_count=500",
        "conditions": "Condition?patient={{context.patientId}}",
    },
}


@pytest.fixture(scope="module", params=["real patients", "the project's sample"])
def stay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stay]:
    with pytest.MonkeyPatch.context() as environment:
        if request.param == "real patients":
            request.getfixturevalue("data_folder")
        else:
            environment.setenv("CDS_DATA_DIR", str(tmp_path_factory.mktemp("empty")))
        settings.cache_clear()
        yield load_stays()[0]
    settings.cache_clear()


@pytest.fixture(scope="module")
def window(stay: Stay) -> Window:
    return next(windows(stay, NOW))


def results(body: bytes) -> list[dict[str, Any]]:
    labs = json.loads(body)["prefetch"]["labs"]
    return [entry["resource"] for entry in labs["entry"]]


@pytest.mark.parametrize("size", [20_000, 68_000])
def test_a_body_has_the_size_that_was_asked_for(window: Window, size: int) -> None:
    assert 0.96 * size < len(build_body(SERVICE, window, size)) < 1.02 * size


def test_a_body_of_size_zero_has_the_patient_and_null_for_every_other_key(window: Window) -> None:
    prefetch = json.loads(build_body(SERVICE, window, 0))["prefetch"]
    assert prefetch.pop("patient")["resourceType"] == "Patient"
    assert prefetch == {"labs": None, "conditions": None}


def test_only_what_the_template_asks_for_is_in_it(window: Window) -> None:
    for result in results(build_body(SERVICE, window, 68_000)):
        assert {"2160-0", "3094-0"} & {coding["code"] for coding in result["code"]["coding"]}


def test_the_last_result_of_the_stay_is_less_than_a_day_old_and_none_is_ahead_of_the_clock(window: Window) -> None:
    last = datetime.fromisoformat(window.until) + timedelta(days=window.days)
    assert timedelta(minutes=10) <= NOW - last <= timedelta(days=1, minutes=10)
    body = build_body(SERVICE, window, 68_000)
    assert all(datetime.fromisoformat(each["effectiveDateTime"]) <= NOW for each in results(body))


def test_the_birth_date_moves_with_the_results(window: Window) -> None:
    born = json.loads(build_body(SERVICE, window, 0))["prefetch"]["patient"]["birthDate"]
    moved = datetime.fromisoformat(born) - datetime.fromisoformat(str(window.chart.patient["birthDate"]))
    assert moved == timedelta(days=window.days)


def test_later_windows_of_a_stay_hold_less_than_earlier_ones_would(stay: Stay) -> None:
    newest, before = list(windows(stay, NOW))[:2]
    assert before.until < newest.until
    assert len(before.chart.resources) < len(newest.chart.resources)
