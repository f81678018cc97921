"""The good server, and how the kit is run on it."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from cds_hooks.tools.kit.contract.charts import PatientChart, sample_charts
from cds_hooks.tools.kit.contract.connection import Connection
from cds_hooks.tools.kit.contract.report import Report
from cds_hooks.tools.kit.contract.requests import DIALECTS
from cds_hooks.tools.kit.contract.run import run_checks, select_checks
from cds_hooks.tools.kit.contract.target import Target
from tests.cds_hooks.tools.kit.contract.good_server import GoodServer, running
from tests.cds_hooks.tools.kit.contract.good_tokens import key
from tests.waiting import MOST_SECONDS

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
Run = Callable[..., Report]


def token() -> str:
    """A JWT with a signature that is none: the good server compares it as a whole."""
    parts = ({"alg": "ES384", "typ": "JWT", "kid": "1"}, {"iss": "https://ehr.example", "jti": "1"})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmVk"])


@pytest.fixture(scope="package")
def good_server() -> Iterator[GoodServer]:
    """One good server for all tests of the package."""
    with running() as server:
        yield server


@pytest.fixture
def good(good_server: GoodServer) -> Iterator[GoodServer]:
    """The good server, healed after the test."""
    yield good_server
    good_server.heal()


@pytest.fixture(scope="package")
def few_charts() -> tuple[PatientChart, ...]:
    """A few patients that are enough to see every fault: with drafts, with results, without either."""
    wanted = ("ckd4-metformin", "ckd3b-metformin", "healthy-adult", "sparse-record")
    return tuple(chart for chart in sample_charts(AS_OF) if chart.name.removeprefix("sample ") in wanted)


@pytest.fixture
def run(good: GoodServer, few_charts: tuple[PatientChart, ...]) -> Run:
    """Runs the checks of some rows (all, where none is named), or the one check, on the good server as it is now."""

    def run_kit(
        *rows: str,
        dialect: str = "standard",
        charts: tuple[PatientChart, ...] = few_charts,
        timeout_seconds: float = MOST_SECONDS,
        check: str = "",
        once: bool = False,
    ) -> Report:
        keyed = key() if good.signed else None
        connection = Connection(good.base, timeout_seconds=timeout_seconds, token=good.token, signer=keyed)
        try:
            target = Target(connection, charts, AS_OF, DIALECTS[dialect], fhir_host="127.0.0.1")
            checks = [each for each in select_checks(rows, dialect) if check in ("", each.name)]
            return run_checks(target, checks, once=once)
        finally:
            connection.close()

    return run_kit
