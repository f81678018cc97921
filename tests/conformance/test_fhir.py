"""FHIR: access to the client's FHIR server."""

from pathlib import Path

import pytest

from tests.cds_hooks.call.prefetch.fetch_calls import at_server, without
from tests.cds_hooks.call.security.servers import Canary
from tests.cds_hooks.calls import PLANNING, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.conftest import Opened
from tests.conformance.outside import Json, Outside, outcome_of
from tests.conformance.rows import row
from tests.conformance.trusted import Site
from tests.each import each_row
from tests.fhir_charts import sample_chart, serving_fhir

SECRET = "fhir-token-zq9canary"  # noqa: S105 - a test's own
PATIENT = "planning-talk"


def _view(*missing: str) -> Json:
    request = request_for(PLANNING, "patient-view", PATIENT, AS_OF)
    return without(request, *missing) if missing else request


@row("FHIR-01", "FHIR-02")
def test_every_request_carries_the_token_and_goes_to_the_servers_base(server: Outside) -> None:
    with serving_fhir([sample_chart(PATIENT, AS_OF)], page_size=5, token=SECRET) as running:
        answer = server.call(PLANNING, at_server(without(_view()), running.base, SECRET))
    assert len(answer.json()["cards"]) == 1
    assert running.log.requests
    assert all(each.token and each.status == 200 for each in running.log.requests)


@row("FHIR-03")
@pytest.mark.parametrize("granted", [{}, [], "token"])
def test_an_authorization_that_is_none_is_refused(server: Outside, granted: Json) -> None:
    request = _view() | {"fhirServer": "http://127.0.0.1:9/fhir", "fhirAuthorization": granted}
    assert server.call(PLANNING, request).status_code == 400


@row("FHIR-04", "FHIR-05")
@pytest.mark.parametrize(
    "changed", [{"access_token": None}, {"access_token": 7}, {"token_type": "Basic"}, {"token_type": None}]
)
def test_a_token_is_a_bearer_token(server: Outside, changed: Json) -> None:
    request = at_server(_view(), "http://127.0.0.1:9/fhir", SECRET)
    granted = {name: value for name, value in (request["fhirAuthorization"] | changed).items() if value is not None}
    answer = server.call(PLANNING, request | {"fhirAuthorization": granted})
    assert answer.status_code == 400
    assert SECRET not in answer.text


@row("FHIR-12", "FHIR-19")
def test_the_token_is_in_no_file_no_log_and_no_answer(opened: Opened, capfd: pytest.CaptureFixture[str]) -> None:
    server = opened(log_level="debug")
    with serving_fhir([sample_chart(PATIENT, AS_OF)], token=SECRET) as running:
        answers = [server.call(PLANNING, at_server(without(_view()), running.base, SECRET))]
    with serving_fhir([sample_chart(PATIENT, AS_OF)], mode="garbage") as running:
        answers.append(server.call(PLANNING, at_server(without(_view()), running.base, SECRET)))
    answers.append(server.call(PLANNING, at_server(_view(), "http://127.0.0.1:9/fhir", SECRET) | {"context": 7}))
    answers.append(server.request("GET", "/metrics"))
    printed = capfd.readouterr()
    assert SECRET not in printed.out + printed.err + "".join(each.text for each in answers)
    for path in server.folder.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path.name


@row("FHIR-20", "PRE-13")
@pytest.mark.parametrize("mode", ["401", "403"])
def test_what_the_token_does_not_open_cannot_be_had(server: Outside, mode: str) -> None:
    with serving_fhir([sample_chart(PATIENT, AS_OF)], mode=mode) as running:
        needed = server.call(PLANNING, at_server(_view("labs"), running.base, SECRET))
        optional = server.call(PLANNING, at_server(_view("conditions"), running.base, SECRET))
    assert needed.status_code == 412
    assert outcome_of(needed)["code"] == "required"
    assert optional.status_code == 200
    assert "conditions" in optional.text


@row("FHIR-21")
@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/latest", "http://10.0.0.1/fhir", "https://fhir.example.org/r4"]
)
def test_without_a_trust_file_nothing_beyond_this_machine_is_called(server: Outside, address: str) -> None:
    answer = server.call(PLANNING, at_server(_view("conditions"), address, SECRET))
    assert answer.status_code == 200
    assert "conditions" in answer.text
    assert address not in answer.text


@row("FHIR-21")
@pytest.mark.parametrize("address", ["fhir.example.org/r4", "not an address", "${FHIR_BASE}"])
def test_a_malformed_address_is_not_used_and_the_prefetch_is_judged(server: Outside, address: str) -> None:
    answer = server.call(PLANNING, at_server(_view(), address, SECRET))
    assert answer.status_code == 200
    assert "the token was not used, the prefetch was" in answer.text
    assert SECRET not in answer.text


@row("FHIR-03", "FHIR-06")
@each_row("changed")
def test_an_authorization_that_is_written_otherwise_is_used(server: Outside, changed: Json) -> None:
    with serving_fhir([sample_chart(PATIENT, AS_OF)], page_size=5, token=SECRET) as running:
        request = at_server(without(_view()), running.base, SECRET)
        granted = {name: value for name, value in (request["fhirAuthorization"] | changed).items() if value is not None}
        answer = server.call(PLANNING, request | {"fhirAuthorization": granted})
    assert len(answer.json()["cards"]) == 1


@row("FHIR-03")
def test_null_is_absent(server: Outside) -> None:
    request = _view() | {"fhirServer": None, "fhirAuthorization": None}
    request["context"] = request["context"] | {"userId": None}
    answer = server.call(PLANNING, request)
    assert answer.status_code == 200
    assert "fhirAuthorization" not in answer.text


@row("FHIR-21")
@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://fhir.example.org/r4", "//fhir.example.org/r4"])
def test_a_fhir_server_that_is_no_address_of_the_web_is_a_bad_request(server: Outside, address: str) -> None:
    answer = server.call(PLANNING, at_server(_view("conditions"), address, SECRET))
    assert answer.status_code == 400
    assert "fhirServer" in answer.text
    assert address not in answer.text


@row("FHIR-21")
def test_with_a_trust_file_only_a_registered_server_is_called(tmp_path: Path) -> None:
    canary = Canary()
    try:
        with (
            serving_fhir([sample_chart(PATIENT, AS_OF)], token=SECRET) as running,
            Site(tmp_path, f'fhir = ["{running.base}"]', as_of=AS_OF, fetch_milliseconds=10_000) as site,
        ):
            good = site.call(PLANNING, at_server(_view("conditions"), running.base, SECRET))
            for elsewhere in (f"http://127.0.0.1:{canary.port}/fhir", f"{running.base.removesuffix('/fhir')}/other"):
                bad = site.call(PLANNING, at_server(_view("conditions"), elsewhere, SECRET))
                assert bad.status_code == 200
                assert "conditions" in bad.text
        assert len(good.json()["cards"]) == 1
        assert len(running.log.requests) == 1
        assert canary.connections == 0
    finally:
        canary.close()


@row("FHIR-21")
def test_a_next_page_elsewhere_is_not_read(server: Outside) -> None:
    with serving_fhir([sample_chart("icu-stay", AS_OF)], mode="next-elsewhere", page_size=5) as running:
        request = request_for(PLANNING, "patient-view", "icu-stay", AS_OF)
        answer = server.call(PLANNING, at_server(without(request, "labs"), running.base, SECRET))
    assert answer.status_code in (200, 412)
    assert "labs" in answer.text
    assert len(running.log.requests) == 1
