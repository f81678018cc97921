"""How a run goes on servers that do not answer, answer strangely, or ask for something."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cds_hooks.contract.charts import Chart
from cds_hooks.contract.connection import Connection
from cds_hooks.contract.report import Report, Result
from cds_hooks.contract.run import UnknownRow, check_server, chosen
from cds_hooks.contract.target import Target
from tests.cds_hooks.contract.conftest import AS_OF, Run, token
from tests.cds_hooks.contract.good_server import GoodServer
from tests.live import free_port

STRANGE: tuple[object, ...] = (
    [],
    {},
    None,
    {
        "services": [
            None,
            5,
            {},
            {"id": 3, "hook": "patient-view"},
            {"id": "a", "hook": "patient-view", "prefetch": [1]},
        ]
    },
    {"services": [{"id": "a", "hook": "order-select", "prefetch": {"x": 5, "y": "{{}}", "z": "Patient/{{context"}}]},
    {"services": [{"id": "a", "hook": "com.example.own"}]},
    {"cards": [None, "x", {"suggestions": {"a": 1}, "links": [None], "source": 5, "overrideReasons": "no"}]},
    {
        "services": [{"id": "a", "hook": "patient-view"}],
        "cards": [{"suggestions": [None, {"actions": [{"resource": []}]}]}],
    },
)


def _run(base: str, charts: tuple[Chart, ...]) -> Report:
    connection = Connection(base, timeout_seconds=1.0)
    try:
        return check_server(Target(connection, charts, AS_OF), chosen([], "standard"))
    finally:
        connection.close()


def test_a_server_that_is_not_there_cannot_be_tested(few_charts: tuple[Chart, ...]) -> None:
    report = _run(f"http://127.0.0.1:{free_port()}", few_charts)
    assert report.exit_code == 2
    assert report.stopped.startswith("no answer from http://127.0.0.1")
    assert report.findings == []


def test_a_server_that_asks_for_a_token_cannot_be_tested_without(
    good: GoodServer, few_charts: tuple[Chart, ...]
) -> None:
    good.token = token()
    report = _run(good.base, few_charts)
    assert report.exit_code == 2
    assert "--token" in report.stopped


def test_a_server_that_stops_answering_ends_the_run_soon(good: GoodServer, few_charts: tuple[Chart, ...]) -> None:
    good.fault = "never answers"
    connection = Connection(good.base, timeout_seconds=0.05)
    report = check_server(Target(connection, few_charts, AS_OF), chosen([], "standard"))
    connection.close()
    assert report.exit_code == 1
    unanswered = [exchange for exchange in connection.log if not exchange.status]
    assert len(unanswered) < 30


@pytest.mark.parametrize("document", STRANGE, ids=lambda document: json.dumps(document)[:40])
def test_a_server_that_answers_the_same_strange_thing_to_everything_is_judged_to_the_end(
    document: object, few_charts: tuple[Chart, ...]
) -> None:
    body = json.dumps(document).encode()

    class Strange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        do_GET = do_POST = do_OPTIONS = do_HEAD = do_PUT = do_DELETE = do_PATCH = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Strange)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        report = _run(f"http://127.0.0.1:{server.server_port}", few_charts[:1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert report.exit_code == 1
    assert not [each.reason for each in report.outcomes if "could not read" in each.reason]


def test_only_takes_rows_and_sections_and_refuses_what_is_neither() -> None:
    rows = {row for check in chosen(["CARD-03", "link,cors"], "standard") for row in check.rows}
    assert {"CARD-03", "LINK-01", "CORS-03"} <= rows
    assert not {"SUG-01", "CARD-08"} & rows
    with pytest.raises(UnknownRow, match="CARD-99"):
        chosen(["CARD-99"], "standard")


def test_only_makes_no_more_requests_than_it_needs(run: Run) -> None:
    assert run("DISC-05").requests < 40
    assert run("CORS").requests < 40


def test_checks_of_a_dialect_are_made_for_that_dialect_only() -> None:
    assert not [check for check in chosen([], "standard") if check.row.startswith("EPIC")]
    assert len([check for check in chosen([], "epic") if check.row.startswith("EPIC")]) == 9


def test_a_token_program_is_asked_for_each_request(good: GoodServer, few_charts: tuple[Chart, ...]) -> None:
    good.token = token()
    connection = Connection(good.base, token_command=("printf", "%s", token()))
    report = check_server(Target(connection, few_charts[:1], AS_OF), chosen(["SEC-01"], "standard"))
    connection.close()
    assert [(each.row.id, each.result) for each in report.rows if not each.row.unseen] == [("SEC-01", Result.HELD)]
