"""How a run goes on servers that do not answer, answer strangely, or ask for something."""

import json

import pytest

from cds_hooks.tools.kit.contract.charts import PatientChart
from cds_hooks.tools.kit.contract.connection import Connection
from cds_hooks.tools.kit.contract.report import Report, Result
from cds_hooks.tools.kit.contract.run import UnknownRow, run_checks, select_checks
from cds_hooks.tools.kit.contract.target import Target
from tests.cds_hooks.tools.kit.contract.conftest import AS_OF, Run, token
from tests.cds_hooks.tools.kit.contract.good_server import GoodServer
from tests.http_server import answering
from tests.waiting import MOST_SECONDS

STRANGE: tuple[object, ...] = (
    [],
    {},
    None,
    {"services": [None, 5, {}, {"id": 3, "hook": "patient-view"},
                  {"id": "a", "hook": "patient-view", "prefetch": [1]}]},
    {"services": [{"id": "a", "hook": "order-select", "prefetch": {"x": 5, "y": "{{}}", "z": "Patient/{{context"}}]},
    {"services": [{"id": "a", "hook": "com.example.own"}]},
    {"services": [{"id": "a", "hook": "com.example.own"}], "cards": []},
    {"cards": [None, "x", {"suggestions": {"a": 1}, "links": [None], "source": 5, "overrideReasons": "no"}]},
    {"services": [{"id": "a", "hook": "patient-view"}],
     "cards": [{"suggestions": [None, {"actions": [{"resource": []}]}]}]},
)  # fmt: skip


NOT_FOUND = b'{"detail": "Not Found"}'


def _run(base: str, charts: tuple[PatientChart, ...]) -> Report:
    connection = Connection(base, timeout_seconds=MOST_SECONDS)
    try:
        return run_checks(Target(connection, charts, AS_OF), select_checks([], "standard"))
    finally:
        connection.close()


def test_a_server_that_asks_for_a_token_cannot_be_tested_without(
    good: GoodServer, few_charts: tuple[PatientChart, ...]
) -> None:
    good.token = token()
    report = _run(good.base, few_charts)
    assert report.exit_code == 2
    assert "--token" in report.stopped


def test_nothing_holds_at_a_server_whose_discovery_is_404(few_charts: tuple[PatientChart, ...]) -> None:
    with answering(lambda _: (404, {}, NOT_FOUND)) as base:
        report = _run(base, few_charts[:1])
    assert [each.row.id for each in report.musts] == ["DISC-01"]
    assert [each.row.id for each in report.rows if each.result is Result.HELD] == []
    unseen = [each for each in report.outcomes if each.result is Result.NOT_SEEN]
    assert all(each.reason for each in unseen)


@pytest.mark.slow
def test_an_interrupted_run_reports_what_is_known(good: GoodServer, few_charts: tuple[PatientChart, ...]) -> None:
    def interrupt(words: str, number: int, count: int) -> None:
        if number == count // 3:
            raise KeyboardInterrupt

    connection = Connection(good.base, timeout_seconds=MOST_SECONDS)
    report = run_checks(Target(connection, few_charts, AS_OF), select_checks([], "standard"), interrupt)
    connection.close()
    assert report.cut_short == "the run was interrupted"
    assert report.exit_code == 2
    assert any(each.result is Result.HELD for each in report.rows)
    assert any(each.reason == "the run was interrupted" for each in report.rows)


def test_a_run_at_one_service_sees_every_row_of_a_whole_run_with_fewer_requests(run: Run) -> None:
    whole, quick = run("REQ", "EXT"), run("REQ", "EXT", once=True)
    assert [(row.row.id, row.result) for row in quick.rows] == [(row.row.id, row.result) for row in whole.rows]
    assert quick.requests < whole.requests


@pytest.mark.parametrize("document", STRANGE, ids=lambda document: json.dumps(document)[:40])
def test_a_server_that_answers_the_same_strange_thing_to_everything_is_judged_to_the_end(
    document: object, few_charts: tuple[PatientChart, ...]
) -> None:
    with answering(lambda _: (200, {}, json.dumps(document).encode())) as base:
        report = _run(base, few_charts[:1])
    assert report.exit_code == 1
    assert not [each.reason for each in report.outcomes if "could not read" in each.reason]


def test_only_takes_rows_and_sections_and_refuses_what_is_neither() -> None:
    rows = {row for check in select_checks(["CARD-03", "link,cors"], "standard") for row in check.rows}
    assert {"CARD-03", "LINK-01", "CORS-03"} <= rows
    assert not {"SUG-01", "CARD-08"} & rows
    with pytest.raises(UnknownRow, match="CARD-99"):
        select_checks(["CARD-99"], "standard")


def test_checks_of_a_dialect_are_made_for_that_dialect_only() -> None:
    assert not [check for check in select_checks([], "standard") if check.row.startswith("EPIC")]
    assert len([check for check in select_checks([], "epic") if check.row.startswith("EPIC")]) == 10


def test_a_token_program_is_asked_for_each_request(good: GoodServer, few_charts: tuple[PatientChart, ...]) -> None:
    good.token = token()
    connection = Connection(good.base, token_command=("printf", "%s", token()))
    report = run_checks(Target(connection, few_charts[:1], AS_OF), select_checks(["SEC-01"], "standard"))
    connection.close()
    assert [(each.row.id, each.result) for each in report.rows if not each.row.unseen] == [("SEC-01", Result.HELD)]
