"""Every number and every time of a chart that cannot be right, to every service: answered, and nothing on the card.

Such values are in real charts: a birth date of 1900-01-01 where nobody knew it, a result of the year 1, a total of -1.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import httpx
import pytest
from starlette.types import ASGIApp

from benchmarks.charts import Patient, load_patients
from benchmarks.connection import with_marked_ids, without_limits
from cds_hooks.call.services import find_services
from cds_hooks.server.app import create_app
from cds_hooks.settings import settings
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError
from cds_hooks.tools.kit.simulator.request import build_request
from tests.constants import settings_with
from tests.live import record_in

pytestmark = pytest.mark.slow

Json: TypeAlias = Any
Place: TypeAlias = tuple[str | int, ...]

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NUMBERS: Final = (-3, 1e308)
MORE_NUMBERS: Final = (0, 5e-324, -1e308, 1e-300, 1e15, 2**53 + 1, 2**63 - 1)
TIMES: Final = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1900-01-01")
MORE_TIMES: Final = (
    "2024-02-29",
    "2026",
    "0001-01-01",
    "0001-01-01T00:00:00Z",
    "9999-12-31",
    "1000-01-01",
    "2026-02",
    "2026-02-30",
    "",
    "x",
)
AGES: Final = (0, 1, 17, 18, 39, 40, 65, 80, 119, 120, 121, 122, 123, 126, 273)

_TIME: Final = re.compile(r"\d{4}(-\d\d)?(-\d\d)?(T|$)")
_IMPOSSIBLE: Final = re.compile(r"\bnan\b|\binf(inity)?\b|\b(age|at) \d{4}\b|-\d+ (years|days)|\d{16}", re.I)
SERVICES = [(each.id, hook) for each in find_services(file="separate").values() for hook in each.answers]


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CDS_DATA_DIR", "/nowhere")
        settings.cache_clear()
        found = list(load_patients(AS_OF))
    settings.cache_clear()
    return found


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ASGIApp:
    folder = tmp_path_factory.mktemp("extremes")
    return create_app(settings_with(database_url=record_in(folder), as_of=AS_OF, log_level="error"))


def _requests(service: str, hook: str, patients: Iterable[Patient]) -> Iterator[Json]:
    """The requests about the samples, those with the most kinds of members first."""
    entry = next(each for each in find_services(file="separate")[service].discovery() if each["hook"] == hook)
    found = []
    for patient in patients:
        try:
            request = build_request(without_limits(entry), Chart(patient.resources), patient.drafts)
            found.append(json.loads(with_marked_ids(request)))
        except ChartError:
            continue  # the hook needs what this chart does not have
    assert found
    yield from sorted(found, key=lambda request: len({_kind(place) for place in _places(request)}), reverse=True)


def _places(value: Json, path: Place = ()) -> Iterator[Place]:
    """Where numbers and times stand in the tree."""
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(each, (*path, name))
    elif _is_number(value) or (isinstance(value, str) and _TIME.match(value)):
        yield path


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(place: Place) -> Place:
    return tuple(step for step in place if isinstance(step, str))


def _at(tree: Json, place: Place) -> Json:
    for step in place:
        tree = tree[step]
    return tree


def _with(tree: Json, value: Json, *places: Place) -> Json:
    """A copy of the request with the value at each of these places."""
    for place in places:
        tree = holder = tree.copy()
        for step in place[:-1]:
            holder[step] = holder[step].copy()
            holder = holder[step]
        holder[place[-1]] = value
    return tree


def _spoilt(request: Json, seen: set[Place], numbers: Sequence[Json], times: Sequence[str]) -> Iterator[Json]:
    """One place after the other, of each kind one; then all places of a kind at once, and all of the chart at once."""
    places = list(_places(request))
    kinds: dict[Place, list[Place]] = {}
    for place in places:
        kinds.setdefault(_kind(place), []).append(place)
    for kind, alike in kinds.items():
        extremes = numbers if _is_number(_at(request, alike[0])) else times
        if kind not in seen:
            seen.add(kind)
            yield from (_with(request, value, alike[0]) for value in extremes)
            # those at all places in turns: half of them for this kind, the other half for the next
            yield from (_with(request, value, *alike) for value in extremes[len(seen) % 2 :: 2] if len(alike) > 1)
    of_chart = [place for place in places if place[0] == "prefetch"]
    all_numbers = [place for place in of_chart if _is_number(_at(request, place))]
    yield from (_with(request, value, *all_numbers) for value in numbers)
    yield from (_with(request, value, *(place for place in of_chart if place not in all_numbers)) for value in times)


def _of_ages(request: Json) -> Iterator[Json]:
    born = next((place for place in _places(request) if place[-1] == "birthDate"), None)
    if born is not None:
        yield from (_with(request, f"{AS_OF.year - age}-{AS_OF:%m-%d}", born) for age in AGES)


class _Caller:
    """The app in process, for requests one after the other."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._calls = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self._path = f"/cds-services/{service}"

    async def send(self, request: Json) -> None:
        """Sent, and the answer looked at."""
        answer = await self._calls.post(self._path, content=json.dumps(request).encode(), headers=_JSON)
        assert answer.status_code in (200, 400, 412), answer.text
        if answer.status_code != 200:
            assert answer.json()["issue"][0]["diagnostics"]
            return
        for card in answer.json()["cards"]:
            said = f"{card['summary']} {card.get('detail', '')}"
            found = _IMPOSSIBLE.search(said)
            assert found is None or found[0] in json.dumps(request), said


_JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(("service", "hook"), SERVICES)
async def test_every_extreme_in_samples_of_every_size_is_answered(
    service: str, hook: str, patients: list[Patient], app: ASGIApp
) -> None:
    seen: set[Place] = set()
    calls = _Caller(app, service)
    for request in list(_requests(service, hook, patients))[::10]:
        for spoilt in (*_spoilt(request, seen, NUMBERS + MORE_NUMBERS, TIMES + MORE_TIMES), *_of_ages(request)):
            await calls.send(spoilt)
    assert len(seen) > 3
