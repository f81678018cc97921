"""How the kit judges what a service reads from the client's FHIR server: services that read in one wrong way each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest

from cds_hooks.kit.contract.registry import Check, all_checks
from cds_hooks.kit.contract.target import Target
from tests.cds_hooks.kit.contract.good_tokens import signer
from tests.cds_hooks.kit.contract.wrong_server import PREFETCH, SERVICES, WrongServer, answer_to, call_of
from tests.each import for_rows

CHECKS = {check.name: check for check in all_checks() if check.group == "fhir_access"}
UNTOLD = "not tested: the service reads nothing from a FHIR server that it was not told of"
NOTHING = "not tested: the service asked the offered FHIR server for nothing"


@dataclass
class Reader:
    """A service that reads what was not prefetched; each member takes one good habit away."""

    nothing: bool = False
    everything: bool = False
    bare: bool = False
    bare_pages: bool = False
    one_page: bool = False
    follows: bool = False
    raw: bool = False
    patience_seconds: float = 5.0
    status: int = 200
    where_unread: int = 200
    other_words: bool = False

    def __call__(self, request: httpx.Request, number: int) -> httpx.Response:
        call = call_of(request)
        was_read = self.nothing or "fhirServer" not in call or all(self._read(call))
        if not was_read:
            return httpx.Response(self.where_unread, json={"cards": []})
        answer = answer_to(call) if not self.other_words else {"cards": [{"summary": f"other {number}"}]}
        return httpx.Response(self.status, json=answer)

    def _read(self, call: Any) -> Iterator[bool]:
        token = {} if self.bare else {"authorization": f"Bearer {call['fhirAuthorization']['access_token']}"}
        patient = call["context"]["patientId"] if self.raw else quote(call["context"]["patientId"], safe="")
        wanted = PREFETCH if self.everything else PREFETCH.keys() - call.get("prefetch", {}).keys()
        with httpx.Client(trust_env=False, timeout=self.patience_seconds, follow_redirects=self.follows) as client:
            for key in sorted(wanted):
                query = PREFETCH[key].replace("{{context.patientId}}", patient)
                yield from self._pages(client, f"{call['fhirServer']}/{query}", token)

    def _pages(self, client: httpx.Client, address: str, token: dict[str, str]) -> Iterator[bool]:
        base = httpx.URL(address)
        while address:
            # httpx takes the token away where it follows to another origin: a client of its own would not
            try:
                answer = client.get(address, headers=token)
            except httpx.HTTPError:
                yield False
                return
            yield answer.status_code == 200
            links = answer.json().get("link", []) if answer.status_code == 200 else []
            address = next((link["url"] for link in links if link["relation"] == "next"), "")
            elsewhere = address and httpx.URL(address).port != base.port
            if self.one_page or (elsewhere and not self.follows):
                return
            token = {} if self.bare_pages else token


class Site(WrongServer):
    """A server that the kit was told to let read from this machine."""

    told: str = ""

    def target(self) -> Target:
        """The server as the kit sees it."""
        target = super().target()
        target.must_fetch = bool(self.told)
        return target


def found(name: str, reader: Reader, told: str = "", services: Any = SERVICES[:1]) -> list[str]:
    """What one check finds on a server that reads like this."""
    check: Check = CHECKS[name]
    server = Site(reader, services=services)
    server.told = told
    return server.verdict(check)


READ = "nothing prefetched, FHIR access offered"


@for_rows(
    ("name", "reader", "words"),
    [
        ("missing_keys_are_fetched", Reader(), []),
        ("missing_keys_are_fetched", Reader(nothing=True), [UNTOLD]),
        ("missing_keys_are_fetched", Reader(status=500), [f"! PRE-12: answered 500 [{READ}]"]),
        ("only_missing_keys_are_fetched", Reader(), []),
        ("only_missing_keys_are_fetched", Reader(nothing=True), [NOTHING]),
        (
            "only_missing_keys_are_fetched",
            Reader(everything=True),
            [
                "! PRE-12: fetched again: Condition?patient=pat-1 [all but prefetch.patient, FHIR access offered]",
                "! PRE-12: fetched again: Coverage?patient=pat-1 [all but prefetch.conditions, FHIR access offered]",
                "! PRE-12: fetched again: Condition?patient=pat-1 [all but prefetch.coverage, FHIR access offered]",
            ],
        ),
        ("fetched_data_gives_the_same_advice", Reader(), []),
        ("fetched_data_gives_the_same_advice", Reader(nothing=True), [NOTHING]),
        ("fetched_data_gives_the_same_advice", Reader(status=412), []),
        (
            "fetched_data_gives_the_same_advice",
            Reader(other_words=True),
            [f"! PRE-15: the cards differ from those with full prefetch [{READ}]"],
        ),
        ("every_fhir_call_carries_the_token", Reader(), []),
        ("every_fhir_call_carries_the_token", Reader(nothing=True), [NOTHING]),
        (
            "every_fhir_call_carries_the_token",
            Reader(bare=True),
            [f"! FHIR-02: without the token: Condition?patient=pat-1 [{READ}]"],
        ),
        ("a_refused_token_is_missing_data", Reader(), []),
        ("a_refused_token_is_missing_data", Reader(where_unread=412), []),
        ("a_refused_token_is_missing_data", Reader(nothing=True), [NOTHING]),
        (
            "a_refused_token_is_missing_data",
            Reader(where_unread=500),
            ["! FHIR-20: answered 500 [the FHIR server refuses the token]"],
        ),
        ("next_pages_are_asked_for_with_the_token", Reader(), []),
        ("next_pages_are_asked_for_with_the_token", Reader(one_page=True), ["not tested: no next page was asked for"]),
        (
            "next_pages_are_asked_for_with_the_token",
            Reader(bare_pages=True),
            [
                "! FHIR-02: the next page was asked for without the token [the FHIR server sends its results in two "
                "pages, with a token each]"
            ],
        ),
        ("next_links_to_other_hosts_are_not_followed", Reader(), []),
        ("next_links_to_other_hosts_are_not_followed", Reader(nothing=True), [NOTHING]),
        (
            "next_links_to_other_hosts_are_not_followed",
            Reader(follows=True),
            [
                "! FHIR-21: the other origin was called with the token [the FHIR server's next link leads to another "
                "origin]"
            ],
        ),
        (
            "next_links_to_other_hosts_are_not_followed",
            Reader(follows=True, bare_pages=True),
            ["! FHIR-21: the other origin was called [the FHIR server's next link leads to another origin]"],
        ),
        ("redirects_are_not_followed_with_the_token", Reader(), []),
        (
            "redirects_are_not_followed_with_the_token",
            Reader(follows=True),
            ["! FHIR-21: the other origin was called [the FHIR server redirects to another origin]"],
        ),
        ("a_stalled_fhir_server_does_not_stall_the_service", Reader(patience_seconds=0.05, where_unread=412), []),
        ("a_stalled_fhir_server_does_not_stall_the_service", Reader(nothing=True), [NOTHING]),
        ("a_patient_id_stays_one_value_of_a_query", Reader(), []),
        (
            "a_patient_id_stays_one_value_of_a_query",
            Reader(raw=True),
            [
                "! HK-patient-view-patientId: a part of the patient id became a parameter of its own [a patient id "
                "with & in it, FHIR access offered]",
                "! HK-patient-view-patientId: a part of the patient id became a step of the path of its own [a patient "
                "id with / in it, FHIR access offered]",
            ],
        ),
    ],
)
def test_a_service_that_reads_in_one_wrong_way_is_told_so(name: str, reader: Reader, words: list[str]) -> None:
    assert found(name, reader) == words


def test_a_service_that_was_to_read_and_does_not_is_told_so() -> None:
    words = [f"! PRE-12: answered 200; nothing was fetched [{READ}]"]
    assert found("missing_keys_are_fetched", Reader(nothing=True), told="127.0.0.1") == words


def test_half_of_a_search_is_no_basis_for_advice() -> None:
    name = "next_pages_are_followed"
    assert found(name, Reader()) == []
    assert found(name, Reader(nothing=True)) == [NOTHING]
    words = ["! PRE-14: no next page was asked for [the FHIR server sends its results in two pages]"]
    assert found(name, Reader(one_page=True)) == words
    without_searches = ({**SERVICES[0], "prefetch": {"patient": PREFETCH["patient"]}},)
    assert found(name, Reader(one_page=True), services=without_searches) == []


@pytest.mark.parametrize(
    ("reads", "status", "words"),
    [
        (0, 401, []),
        (2, 401, ["! SEC-19: the key set that jku names was read 2 times [POST /cds-services/greeter]"]),
        (0, 200, ["! SEC-19: answered 200 [a token signed by a stranger whose jku it names]"]),
    ],
)
def test_a_key_set_that_a_token_names_is_neither_read_nor_believed(reads: int, status: int, words: list[str]) -> None:
    stranger = signer().stranger

    def answer(request: httpx.Request, number: int) -> httpx.Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            return httpx.Response(401)
        header = jwt.get_unverified_header(token)
        assert (header["alg"], header["kid"]) == (stranger.algorithm, stranger.jwk["kid"])
        for _ in range(reads):
            assert httpx.get(header["jku"], trust_env=False).json() == {"keys": [stranger.public_jwk]}
        return httpx.Response(status, json={"cards": []})

    (check,) = (check for check in all_checks() if check.name == "a_key_set_of_a_stranger_is_neither_read_nor_believed")
    words_found = WrongServer(answer, services=SERVICES[:1], signer=signer()).verdict(check)
    assert words_found == words
