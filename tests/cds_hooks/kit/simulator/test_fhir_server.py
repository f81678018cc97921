"""The server for tests is a FHIR server: what it answers, refuses and links to."""

from datetime import datetime
from typing import Any

import httpx
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome

from cds_hooks.kit.simulator import fhir_server
from tests.each import for_rows
from tests.fhir_charts import chart_of, lab, sample_chart, serving_fhir

CHART = chart_of(*(lab(number) for number in range(1, 8)), lab(20, patient="p2"))


def _codes(url: str, **options: object) -> int:
    return httpx.get(url, **options).status_code  # type: ignore[arg-type] # options of httpx


def test_a_search_by_post_finds_the_same() -> None:
    with serving_fhir([CHART]) as running:
        form = {"patient": "p1", "_sort": "-date"}
        by_post = httpx.post(f"{running.base}/Observation/_search", data=form).json()
        by_get = httpx.get(f"{running.base}/Observation", params=form).json()
        assert by_post["entry"] == by_get["entry"]
        assert httpx.post(f"{running.base}/Observation/_search", json=form).status_code == 415


def test_errors_are_operation_outcomes() -> None:
    with serving_fhir([CHART], token="t") as running:  # noqa: S106 - a test's own
        ours = {"headers": {"authorization": "Bearer t"}}
        for path, status, options in (
            ("/Patient/nobody", 404, ours),
            ("/Observation?value-quantity=5", 400, ours),
            ("/Observation?_count=x", 400, ours),
            ("?_getpages=gone", 410, ours),
            ("/Patient/p1", 401, {}),
            ("/Patient/p1", 401, {"headers": {"authorization": "Bearer u"}}),
        ):
            answer = httpx.get(f"{running.base}{path}", **options)  # type: ignore[arg-type] # options of httpx
            assert answer.status_code == status
            OperationOutcome.model_validate(answer.json())
        assert httpx.delete(f"{running.base}/Patient/p1", **ours).status_code == 405  # type: ignore[arg-type] # as above
        assert httpx.get(f"{running.base}/Patient/p1", **ours).json()["id"] == "p1"  # type: ignore[arg-type] # as above


def test_it_says_what_it_can_do(as_of: datetime) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        statement = httpx.get(f"{running.base}/metadata").json()
    CapabilityStatement.model_validate(statement)
    observation = next(each for each in statement["rest"][0]["resource"] if each["type"] == "Observation")
    assert {"patient", "code", "date", "_id"} <= {each["name"] for each in observation["searchParam"]}


def test_patients_of_several_charts_are_kept_apart(as_of: datetime) -> None:
    with serving_fhir([CHART, sample_chart("planning-talk", as_of)]) as running:
        page = httpx.get(f"{running.base}/Observation?patient=planning-talk").json()
    assert {entry["resource"]["subject"]["reference"] for entry in page["entry"]} == {"Patient/planning-talk"}


def test_a_busy_server_can_recover() -> None:
    with serving_fhir([CHART], mode="503", failures=1) as running:
        assert [_codes(f"{running.base}/Patient/p1") for _ in range(2)] == [503, 200]
        assert _codes(f"{running.base}/Observation?patient=p1") == 503


@for_rows(
    ("behaviour", "status", "header"),
    [
        ({"mode": "401"}, 401, ("www-authenticate", "Bearer")),
        ({"mode": "403"}, 403, ("location", None)),
        ({"mode": "redirect", "elsewhere": "http://other/r4"}, 302, ("location", "http://other/r4/Patient/p1")),
        ({"mode": "429", "retry_after": 7}, 429, ("retry-after", "7")),
    ],
)
def test_a_server_that_does_not_answer_says_so_as_fhir_does(
    behaviour: dict[str, Any], status: int, header: tuple[str, str | None]
) -> None:
    with serving_fhir([CHART], **behaviour) as running:
        answer = httpx.get(f"{running.base}/Patient/p1")
    OperationOutcome.model_validate(answer.json())
    assert (answer.status_code, answer.headers.get(header[0])) == (status, header[1])


def test_what_was_asked_can_be_looked_at() -> None:
    with serving_fhir([CHART]) as running:
        httpx.get(f"{running.base}/Patient/p1", headers={"authorization": "Bearer secret"})
        seen = httpx.get(f"{running.base.removesuffix('/fhir')}/requests")
    (request,) = seen.json()["requests"]
    assert (request["path"], request["token"], request["status"]) == ("/fhir/Patient/p1", True, 200)
    assert "secret" not in seen.text


def test_pages_of_any_origin_may_read_it_where_that_is_wanted() -> None:
    page = {"origin": "https://sandbox.example"}
    preflight = page | {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    with serving_fhir([CHART], browsers=True, token="t") as running:  # noqa: S106 - a test's own
        asked = httpx.options(f"{running.base}/Patient/p1", headers=preflight)
        answer = httpx.get(f"{running.base}/Patient/p1", headers=page)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-headers"] == "authorization"
    assert answer.status_code == 401
    assert asked.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == "*"
    with serving_fhir([CHART]) as running:
        assert "access-control-allow-origin" not in httpx.get(f"{running.base}/Patient/p1", headers=page).headers


@for_rows(("results", "on_first_page"), [(1, 1), (2, 1), (7, 4), (8, 4)])
def test_a_search_is_split_in_halves(results: int, on_first_page: int) -> None:
    with serving_fhir([chart_of(*(lab(number) for number in range(results)))], halves=True) as running:
        page = httpx.get(f"{running.base}/Observation?patient=p1").json()
    assert len(page["entry"]) == on_first_page


def test_a_request_counts_while_it_is_answered_and_afterwards() -> None:
    told: list[fhir_server.LoggedRequest] = []
    log = fhir_server.RequestLog(told.append)
    with log.under_way(), log.under_way():
        pass
    with log.under_way():
        pass
    request = fhir_server.LoggedRequest("GET", "/fhir/Patient/1", "", "", True, 200)
    log.add(request)
    assert (log.received, log.most_at_once, told) == (3, 2, [request])
    assert log.as_json() == {
        "most_at_once": 2,
        "requests": [
            {"method": "GET", "path": "/fhir/Patient/1", "query": "", "form": "", "token": True, "status": 200}
        ],
    }
