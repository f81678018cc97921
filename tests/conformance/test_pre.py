"""PRE: prefetched data."""

import re
from typing import Any

import pytest

from tests.cds_hooks.call.prefetch.fetch_calls import at_server, facts_of, silences, without
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.conftest import Opened
from tests.conformance.outside import Json, Outside, outcome_of
from tests.conformance.rows import row
from tests.conformance.templates import templates
from tests.each import each_row
from tests.fhir_charts import sample_chart, serving_fhir

PATIENT = "planning-talk"
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
ALSO = {"resource": OUTCOME, "search": {"mode": "outcome"}}
NONE_FOUND: list[Json] = [
    None,
    {"resourceType": "Bundle", "type": "searchset"},
    {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []},
]


def _view(**prefetch: Json) -> Json:
    request = request_for(PLANNING, "patient-view", PATIENT, AS_OF)
    return request | {"prefetch": request["prefetch"] | prefetch}


@row("PRE-01", "QRY-02", "QRY-03")
def test_a_template_is_a_read_or_a_search_of_one_type(discovery: list[Json]) -> None:
    for each in templates(discovery):
        if each.parameters:
            assert re.fullmatch(r"[A-Z][A-Za-z]+", each.path)
        else:
            assert re.fullmatch(r"[A-Z][A-Za-z]+/\{\{[^{}]+\}\}|\{\{context\.userId\}\}", each.query)


@row("PRE-02")
@pytest.mark.parametrize("key", ["body", "pressures", "conditions", "encounters"])
def test_any_optional_key_may_be_left_out(server: Outside, key: str) -> None:
    answer = server.call(PLANNING, without(_view(), key))
    assert answer.status_code == 200
    assert any(subject.endswith(key) for subject in silences(answer)) or len(answer.json()["cards"]) == 1


@row("PRE-05")
def test_keys_that_nobody_asked_for_change_nothing(server: Outside) -> None:
    stranger = {"resourceType": "Library", "id": "x", "status": "active", "type": {"text": "x"}}
    answer = server.call(PLANNING, _view(unasked=stranger, another=None))
    assert len(answer.json()["cards"]) == 1


@row("PRE-06")
def test_a_resource_in_the_wrapper_of_before_1_0_is_taken_out_of_it(server: Outside) -> None:
    request = _view()
    wrapped = {
        key: value if value is None else {"response": {"status": "200 OK"}, "resource": value}
        for key, value in request["prefetch"].items()
    }
    assert facts_of(server.call(PLANNING, request | {"prefetch": wrapped})) == facts_of(server.call(PLANNING, request))


@row("PRE-08", "PRE-11")
@pytest.mark.parametrize(
    "failed",
    [OUTCOME, {"resourceType": "Bundle", "type": "searchset", "entry": [ALSO]}],
    ids=["outcome", "in a bundle"],
)
def test_a_key_that_failed_at_the_client_is_not_data_and_not_none_found(server: Outside, failed: Json) -> None:
    answer = server.call(PLANNING, _view(labs=failed))
    assert answer.status_code == 412
    assert "labs" in outcome_of(answer)["diagnostics"]


@row("PRE-11")
def test_an_outcome_beside_results_does_not_hide_them(server: Outside) -> None:
    request = _view()
    labs = request["prefetch"]["labs"]
    noted = labs | {"entry": [*labs["entry"], ALSO | {"resource": OUTCOME | {"issue": [{"severity": "warning"}]}}]}
    assert len(server.call(PLANNING, _view(labs=noted)).json()["cards"]) == 1


@row("PRE-10")
@pytest.mark.parametrize("none", NONE_FOUND, ids=["null", "no entry", "empty entry"])
def test_none_found_is_an_answer_and_nobody_asks_again(server: Outside, none: Json) -> None:
    with serving_fhir([sample_chart(PATIENT, AS_OF)]) as running:
        answer = server.call(PLANNING, at_server(_view(labs=none), running.base))
    assert answer.status_code == 200
    assert answer.json()["cards"] == []
    assert [each["reason"] for each in ours(answer)["silence"]] == ["too-few-inputs"]
    assert running.log.requests == []


@row("PRE-12", "FHIR-01", "FHIR-02")
def test_what_is_missing_is_read_and_nothing_else(server: Outside, discovery: list[Json]) -> None:
    entry = next(each for each in discovery if each["id"] == PLANNING)
    with serving_fhir([sample_chart(PATIENT, AS_OF)], token="canary-token-5b1e90") as running:  # noqa: S106 - a test's own
        answer = server.call(PLANNING, at_server(without(_view(), "labs", "conditions"), running.base))
    assert len(answer.json()["cards"]) == 1
    asked = {each.partition("?")[0].rpartition("/")[2] for each in running.queries}
    wanted = {entry["prefetch"][key].partition("?")[0] for key in ("labs", "conditions")}
    assert {each for each in asked if each != "_search"} <= wanted
    assert len(running.log.requests) == 2
    assert all(each.token for each in running.log.requests)


@row("PRE-14")
def test_pages_are_followed_with_the_token(server: Outside) -> None:
    with serving_fhir([sample_chart(PATIENT, AS_OF)], page_size=5, token="canary-token-5b1e90") as running:  # noqa: S106 - a test's own
        fetched = server.call(PLANNING, at_server(without(_view()), running.base))
    assert facts_of(fetched) == facts_of(server.call(PLANNING, _view()))
    assert len(running.log.requests) > len(_view()["prefetch"])
    assert all(each.token for each in running.log.requests)


@row("PRE-14")
def test_a_page_without_the_rest_is_known_to_be_a_part(server: Outside) -> None:
    labs = _view()["prefetch"]["labs"]
    first = labs | {"entry": labs["entry"][:2], "link": [{"relation": "next", "url": "http://127.0.0.1:9/fhir?page=2"}]}
    answer = server.call(PLANNING, _view(labs=first))
    assert answer.status_code in (200, 412)
    assert "labs" in answer.text


@row("PRE-15")
@each_row(("service", "hook", "sample", "draft"))
def test_either_way_of_the_data_gives_the_same_advice(
    server: Outside, service: str, hook: str, sample: str, draft: str | None
) -> None:
    request: dict[str, Any] = request_for(service, hook, sample, AS_OF, draft)
    state = server.call(service, request)
    with serving_fhir([sample_chart(sample, AS_OF)], page_size=20) as running:
        fetched = server.call(service, at_server(without(request), running.base))
    assert facts_of(fetched) == facts_of(state)


@row("PRE-17")
def test_a_fhir_server_that_is_slow_does_not_make_this_one_slow(opened: Opened) -> None:
    """How fast the service itself is, is measured by `make bench`; here: that nothing waits for others without end."""
    server = opened(fetch_milliseconds=200)
    with serving_fhir([sample_chart(PATIENT, AS_OF)], mode="slow", delay_seconds=600) as running:
        answer = server.call(PLANNING, at_server(without(_view(), "conditions"), running.base))
    assert answer.status_code == 200
    assert "conditions" in answer.text
