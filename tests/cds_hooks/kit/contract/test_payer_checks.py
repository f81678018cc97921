"""The kit's checks of a payer's server: CRD's requirements on our own server, and faults that are planted in it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cards.coverage.annotation import coverage_information
from cds_hooks.kit.contract.charts import sample_charts
from cds_hooks.kit.contract.connection import Connection
from cds_hooks.kit.contract.dialects import DIALECTS
from cds_hooks.kit.contract.registry import rows
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.run import run_checks, select_checks
from cds_hooks.kit.contract.target import Target
from cds_hooks.services import _coverage
from tests.conftest import ROOT
from tests.live import serving_here

Json = dict[str, Any]
# Without a second coverage, other types of orders, and rows of a payer's own nothing shows these.
UNSEEN = {"CRD-77", "CRD-264", "CRD-273", "CRD-274", "CRD-275", "CRD-277", "CRD-299", "CRD-306"}


@pytest.fixture(name="server", scope="module")
def our_own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of our server, in a thread of this process."""
    with serving_here(tmp_path_factory.mktemp("payer")) as address:
        yield address


def checked(server: str, *only: str) -> Report:
    """The report on a server with the sample patient who has a coverage."""
    as_of = datetime.now(UTC)
    connection = Connection(server, timeout_seconds=60)
    target = Target(connection, sample_charts(as_of, only=("af-apixaban-dose",)), as_of, DIALECTS["crd"])
    report = run_checks(target, select_checks(only, "crd"))
    connection.close()
    return report


def test_every_requirement_is_held_not_seen_or_said_to_be_invisible(server: str) -> None:
    report = checked(server, "CRD")
    results = {row.row.id: row.result for row in report.rows if row.row.section == "CRD"}
    assert [(finding.row.id, finding.faults) for finding in report.musts] == []
    assert {name for name, result in results.items() if result is Result.NOT_SEEN} == UNSEEN
    assert {name for name, result in results.items() if result is Result.ADVICE} == {"CRD-163"}
    assert sum(result is Result.HELD for result in results.values()) >= 45
    assert len(results) == 91


def test_the_rows_are_those_of_the_table_of_requirements() -> None:
    table = (ROOT / "docs" / "crd-requirements.md").read_text(encoding="utf-8")
    numbers = {row.id.removeprefix("CRD-") for row in rows().values() if row.section == "CRD"}
    assert numbers == {line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line[2:3].isdigit()}


def test_a_server_that_is_no_payer_has_nothing_to_hold(good_server: Any) -> None:
    report = checked(good_server.base, "CRD-4", "CRD-108", "CRD-276")
    assert {row.result for row in report.rows if row.row.section == "CRD"} <= {Result.NOT_SEEN, Result.NOT_VISIBLE}


def _without(name: str) -> Callable[..., Json]:
    def write(*arguments: Any) -> Json:
        extension = original(*arguments)
        return extension | {"extension": [part for part in extension["extension"] if part["url"] != name]}

    original = coverage_information
    return write


def _with(**part: Any) -> Callable[..., Json]:
    def write(*arguments: Any) -> Json:
        extension = original(*arguments)
        return extension | {"extension": [*extension["extension"], part]}

    original = coverage_information
    return write


@pytest.mark.parametrize(
    ("row", "name", "fault"),
    [
        ("CRD-276", "coverage_information", _without("date")),
        ("CRD-276", "coverage_information", _with(url="info-needed", valueCode="weather")),
        ("CRD-276", "coverage_information", _with(url="satisfied-pa-id", valueString="N1")),
        ("CRD-276", "coverage_information", _with(url="covered", valueCode="covered")),
        ("CRD-167", "_for_hook", lambda answer, _: answer),
        ("CRD-267", "says_the_same", lambda *_: False),
        ("CRD-116", "_options", lambda _: dict.fromkeys(("coverage-info", "claim", "guideline", "insurance",
                                                         "therapy-alternatives-opt"), True)),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(
    server: str, monkeypatch: pytest.MonkeyPatch, row: str, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(_coverage, name, fault)
    assert row in {finding.row.id for finding in checked(server, row).findings}


def test_the_rows_of_a_payer_are_no_rows_of_other_reports(server: str) -> None:
    assert not [check for check in select_checks((), "standard") if check.row.startswith("CRD")]
    connection = Connection(server)
    now = datetime.now(UTC)
    report = run_checks(Target(connection, (), now), select_checks(("DISC",), "standard"))
    connection.close()
    assert not [row for row in report.rows if row.row.section == "CRD"]
