"""A call can send a FHIR server instead of its data."""

import pytest

from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.kit.simulator.request import OPEN_SERVER_TOKEN, refuse_unknown_keys, with_fhir_server, without_keys

REQUEST = {"hook": "patient-view", "context": {"patientId": "p1"}, "prefetch": {"patient": {}, "labs": None}}


def test_the_server_takes_the_place_of_prefetch() -> None:
    request = with_fhir_server(REQUEST, "http://127.0.0.1:8090/fhir", "t", [])
    assert "prefetch" not in request
    assert request["fhirServer"] == "http://127.0.0.1:8090/fhir"
    assert (request["fhirAuthorization"]["access_token"], request["fhirAuthorization"]["patient"]) == ("t", "p1")


def test_the_server_takes_the_place_of_single_keys() -> None:
    request = with_fhir_server(REQUEST, "http://127.0.0.1:8090/fhir", None, ["labs"])
    assert request["prefetch"] == {"patient": {}}
    assert request["fhirAuthorization"]["access_token"] == OPEN_SERVER_TOKEN


def test_a_key_that_is_not_there_cannot_be_left_out() -> None:
    assert without_keys(REQUEST, []) == REQUEST
    with pytest.raises(ChartError, match="there is no prefetch key lab; there are patient, labs"):
        refuse_unknown_keys([REQUEST], ["lab"])


def test_a_key_that_one_service_asks_for_is_left_out_there_and_no_fault_of_the_others() -> None:
    requests = [{"prefetch": {"patient": 1, "labs": 2}}, {"prefetch": {"patient": 1}}]
    refuse_unknown_keys(requests, ["labs"])
    assert [without_keys(request, ["labs"])["prefetch"] for request in requests] == [{"patient": 1}, {"patient": 1}]
