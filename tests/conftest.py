"""Shared fixtures: where other people's data lies, and the instant at which the tests take place."""

import gc
import inspect
import os
import re
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from tests import libraries
from tests.live import AS_INSTALLED, ONLY_IN_DEVELOPMENT, PATIENCE, serving, serving_here
from tests.waiting import MOST_SECONDS

# It is then not imported, as where we are installed: neither here nor in the programs that tests start.
sys.modules[ONLY_IN_DEVELOPMENT] = None  # type: ignore[assignment]
# Most tests call one advisor at a time; those of the default services (`chart-opening`) set this to nothing.
os.environ.setdefault("CDS_SERVICES", "separate")
os.environ["PYTHONPATH"] = os.pathsep.join([AS_INSTALLED, *filter(None, [os.environ.get("PYTHONPATH")])])

# How long an example takes depends on who else uses the machine; no test is about time.
settings.register_profile("all examples", deadline=None, max_examples=100)
# The same examples each time: what a change is refused for is of the change. `make test-slow` draws new ones.
settings.register_profile("few examples", deadline=None, max_examples=20, derandomize=True)
settings.load_profile("all examples")

# httpx gives an answer five seconds, and a server refuses a call that waited for two; a machine that runs several
# tests and their servers may take longer.
_times = inspect.signature(httpx.get).parameters["timeout"].default
_times.connect = _times.read = _times.write = _times.pool = MOST_SECONDS
pytest.MonkeyPatch().setattr(PATIENCE, MOST_SECONDS)
# Each client would read the certificates of all authorities, 23 ms of the processor: they are read once.
_AUTHORITIES = httpx.create_ssl_context()


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    is_usual = verify is True and cert is None
    return _AUTHORITIES if is_usual else httpx.create_ssl_context(verify, cert, trust_env)


pytest.MonkeyPatch().setattr("httpx._transports.default.create_ssl_context", _context)

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """`make test` draws a fifth of the examples of each property; `make test-slow` runs the same tests with all."""
    if config.option.markexpr.startswith("not slow"):
        settings.load_profile("few examples")
        # Constants of all modules that are loaded: a second in each process, for the few examples that would use one.
        pytest.MonkeyPatch().setattr(providers, "_get_local_constants", Constants)
        libraries.LEFT_OUT.append("only the slow tests need it")
    for plugin in config.pluginmanager.get_plugins() if hasattr(config, "workerinput") else ():
        if type(plugin).__name__ == "WorkerInteractor":
            plugin.sendevent = partial(_send_what_is_shown, plugin.sendevent)


def _send_what_is_shown(send: Callable[..., None], event: str, **content: Any) -> None:
    """Sends no event of which the process that shows the results makes nothing: half of them, 0.4 ms a test."""
    if event != "logstart" and _NOT_SHOWN not in content.get("data", ()):
        send(event, **content)


_NOT_SHOWN = "not shown"


@pytest.hookimpl(tryfirst=True)
def pytest_report_to_serializable(config: pytest.Config, report: pytest.TestReport) -> dict[str, Any] | None:
    """Set-ups and endings that passed within 50 ms are not told; longer ones are among the longest durations."""
    is_shown = not report.passed or report.when not in ("setup", "teardown") or report.duration > 0.05
    return None if is_shown else {_NOT_SHOWN: True}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The garbage collector rests while the tests are collected; they are kept until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # not collected first, which takes a second: nearly all of it lives until the end
        gc.set_threshold(*_THRESHOLDS)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Garbage is collected after a file, at most every two seconds, and what then lives is not looked at again.

    With Python's own thresholds two fifths of the processor time of the tests went into looking at tables and tests
    that live until the end.
    """
    done = yield
    if nextitem is None or (nextitem.path != item.path and time.monotonic() - _COLLECTED[0] > _REST):
        _collect_garbage()
    return done


_THRESHOLDS = (100_000, 50, 50)
_REST = 2.0
_COLLECTED = [0.0]


def _collect_garbage() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)  # a server that was started here has set its own
    _COLLECTED[0] = time.monotonic()


def examples(number: int) -> int:
    """What a test whose examples are more or fewer than usual hands to `max_examples`: its number, or a fifth of it."""
    return max(1, number * settings().max_examples // 100)


_ONLY_SLOW = re.compile(
    r"^\s*(?:import|from) (?:playwright|schemathesis|lightgbm|xgboost|statsmodels|polars|pyarrow"
    r"|cyclonedx|fhirpathpy|tests\.browser)\b|^pytestmark = .*\bmark\.slow\b",
    re.MULTILINE,
)
"""An import of a browser's driver, or of a library that takes seconds to import; or the mark of all tests of a file."""


@cache
def _is_slow_as_a_whole(path: Path) -> bool:
    return path.suffix == ".py" and _ONLY_SLOW.search(path.read_text(encoding="utf-8")) is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files of slow tests alone, where these are left out: their imports and rows take seconds."""
    left_out = config.option.markexpr.startswith("not slow") and (
        collection_path == ROOT / "tests" / "browser" or _is_slow_as_a_whole(collection_path)
    )
    return True if left_out else None


_LONGEST = (
    "cards/rules/test_cases.py",
    "adding/test_guides.py",
    "cds_hooks/add_ons/events/test_brokers.py",
    "cds_hooks/tools/kit/contract/test_own_server.py",
    "cds_hooks/add_ons/events/test_watch.py",
    "cds_hooks/call/services/test_contradictions.py",
    "operations/test_rolling_restart.py",
    "operations/test_renewal.py",
    "cds_hooks/tools/kit/contract/test_planted.py",
    "operations/test_compose_started.py",
    "hardening/test_chart_text.py",
    "adding/test_notebook.py",
    "hardening/test_extremes.py",
    "operations/test_two_machines.py",
    "browser/test_pages.py",
    "hardening/test_canaries.py",
    "hardening/test_edge.py",
    "hardening/test_hostile_text.py",
    "test_supply_chain.py",
    "test_wheel.py",
    "cds_hooks/call/services/test_relations.py",
    "browser/test_documentation.py",
    "test_pinned_answers.py",
    "cds_hooks/call/services/test_visit_that_goes_on.py",
    "cards/rules/families/test_label_rows.py",
    "test_docs.py",
    "cards/rules/test_sentences.py",
    "cards/rules/test_claims.py",
    "cards/rules/test_drafted.py",
    "cds_hooks/call/services/test_coverage_cases.py",
    "hardening/test_fuzz.py",
    "operations/test_models_out.py",
    "cards/rules/test_site.py",
    "cds_hooks/test_packages.py",
)
"""The files that take longest with few tests, those of the slow tier first: what waits among what computes."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of files that are slow as a whole.

    Of several processes each takes one file after the other: the longest first, then those with the most tests. Else
    the last minutes belong to one process that has begun a long file when the others are done.
    """
    for item in items:
        if _is_slow_as_a_whole(item.path):
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        turns = {ROOT / "tests" / name: turn for turn, name in enumerate(_LONGEST)}
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (turns.get(item.path, len(turns)), -tests[item.path], item.path))


_TOGETHER = ("tests/conformance/", "tests/cards/rules/test_")
"""The checklist asks every service about every sample; the tests of rules check every case of every rule."""


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Each process takes one file after the other; those that share answers, which are computed once, together."""

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for shared in _TOGETHER if nodeid.startswith(shared)), nodeid.split("::", 1)[0])

    def _assign_work_unit(self, node: Any) -> None:
        """The library looks for each test in the list of all, and for all tests of a process after each: 10 seconds."""
        scope, tests = self.workqueue.popitem(last=False)
        units = {name: unit for name, unit in self.assigned_work[node].items() if False in unit.values()}
        self.assigned_work[node] = units | {scope: tests}
        node.send_runtest_some([self._positions[name] for name, is_completed in tests.items() if not is_completed])

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.collection)}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What divides the tests among the processes."""
    return _ByFile(config, log)


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable) or default)
    if not folder.is_dir():
        pytest.skip(f"{folder.name} folder of other people's data is not here; set {variable} to its path")
    return folder


@pytest.fixture
def declared_features_are_forgotten() -> Iterator[None]:
    """What a test declares in features.toml is known to its process from then on: forgotten at its end."""
    from fhir.mapping.features.catalog import FEATURES
    from fhir.record.facts import ANALYTE_POSITION
    from fhir.record.measurement import KEY_BY_LOINC
    from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES

    tables: list[Any] = [FEATURES, ANALYTES, ANALYTE_BY_LOINC, KEY_BY_LOINC, ANALYTE_POSITION]
    before = [dict(table) for table in tables]
    yield
    for table, were in zip(tables, before, strict=True):
        table.clear()
        table.update(were)


@pytest.fixture
def anyio_backend() -> str:
    """The event loop on which tests that are coroutines run."""
    return "asyncio"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real patients, training tables and published fixtures; the test is skipped where it is absent."""
    return _folder("CDS_DATA_DIR", ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def spec_folder() -> Path:
    """The folder of official examples and the R4 schema; the test is skipped where it is absent."""
    return _folder("CDS_SPEC_DIR", ROOT.parent / "shared" / "spec")


@pytest.fixture(scope="session")
def documentation() -> Path:
    """The folder docs/ with the pages that are made from the code, as `make docs` writes them."""
    if not (ROOT / "docs" / "settings.md").exists():
        subprocess.run([sys.executable, "-m", "maintenance.reference"], cwd=ROOT, check=True)
    return ROOT / "docs"


@pytest.fixture
def as_of() -> datetime:
    """The instant at which every test without one of its own takes place."""
    return datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of the shared server; its record is decisions.sqlite3."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server_here(server_folder: Path) -> Iterator[str]:
    """The address of a server in this process with a record of its own, shared by one file."""
    with serving_here(server_folder) as address:
        yield address


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[str]:
    """The address of a real server with a record of its own, shared by one file: an answered card is remembered."""
    with serving(server_folder) as address:
        yield address
