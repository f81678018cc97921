"""What single checks find on servers that are wrong in a way that no other test has, and when they say nothing."""

import json
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import httpx
import pytest

from cds_hooks.kit.contract import assertions, connection
from cds_hooks.kit.contract.charts import PatientChart
from cds_hooks.kit.contract.document import Fault, Node
from cds_hooks.kit.contract.registry import all_checks
from cds_hooks.kit.simulator.signing import Signer, new_key
from tests.cds_hooks.kit.contract import wrong_server
from tests.cds_hooks.kit.contract.conftest import token
from tests.cds_hooks.kit.contract.findings import FINDINGS, all_findings
from tests.cds_hooks.kit.contract.good_tokens import ISSUER, signer
from tests.cds_hooks.kit.contract.verdicts import PAYER, answers, note, payer, takes
from tests.each import for_rows

Json = dict[str, Any]
CHECKS = {check.name: check for check in all_checks()}
GREETER, ORDERS = wrong_server.SERVICES[:1], (wrong_server.SERVICES[2],)
UNAUTHORIZED = httpx.Response(401)


def verdict(name: str, later: Any = takes, **more: Any) -> list[str]:
    """What a check finds on a server that answers later calls like this."""
    return wrong_server.WrongServer(later, **more).verdict(CHECKS[name])


def cards(*answered: Json, **members: Any) -> Callable[..., httpx.Response]:
    """Every later call is answered with these cards."""
    return lambda *_: httpx.Response(200, json={"cards": list(answered), **members})


def without(kind: str) -> PatientChart:
    """The chart without a type of resource."""
    kept = tuple(one for one in wrong_server.CHART.resources if one["resourceType"] != kind)
    return PatientChart(wrong_server.CHART.name, wrong_server.PATIENT, kept, wrong_server.CHART.drafts)


# Payer


def test_a_payer_is_asked_about_a_chart_with_a_coverage_and_a_billing_code() -> None:
    nothing = ["not tested: no chart of this run has a Coverage and an order with a billing code"]
    name = "a_payer_answers_each_hook_it_lists"
    tablets = PatientChart(
        wrong_server.CHART.name, wrong_server.PATIENT, wrong_server.CHART.resources, wrong_server.CHART.drafts[:1]
    )
    for charts, words in (
        ((wrong_server.CHART,), []),
        ((wrong_server.SMALL_CHART,), nothing),
        ((without("Coverage"),), nothing),
        ((tablets,), nothing),
        ((wrong_server.SMALL_CHART, wrong_server.CHART), []),
    ):
        assert verdict(name, services=PAYER[:1], dialect="crd", charts=charts) == words
    assert verdict(name, services=GREETER, dialect="crd") == ["not tested: greeter is no service of a payer"]


@pytest.mark.parametrize(("seconds", "words"), [(5.0, []), (5.5, ["! CRD-11: 5.5 s [how long an answer takes]"])])
def test_a_payer_answers_within_five_seconds(seconds: float, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "a_payer_answers_order_sign_in_five_seconds"
    clock = count(0, seconds)
    monkeypatch.setattr(connection, "perf_counter", lambda: next(clock))
    assert verdict(name, services=PAYER[:1], dialect="crd", charts=(wrong_server.CHART,)) == words
    assert verdict(name, services=PAYER[1:2], dialect="crd", charts=(wrong_server.CHART,)) == [
        "not tested: no service of a payer answers order-sign"
    ]


def test_coverage_information_comes_by_a_system_action() -> None:
    name = "coverage_information_comes_at_order_sign"

    def suggested(request: httpx.Request, number: int) -> httpx.Response:
        answer = wrong_server.answer_to(wrong_server.call_of(request))
        for action in answer["cards"][0]["suggestions"]:
            action["actions"][0]["resource"]["extension"] = [note()]
        return httpx.Response(200, json=answer)

    assert verdict(name, suggested, services=PAYER[:1], dialect="crd", charts=(wrong_server.CHART,)) == [
        "! CRD-279: no system action [an order with a billing code]"
    ]
    good = payer(note()).server(CHECKS[name])
    good.services = PAYER[:1]
    assert good.verdict(CHECKS[name]) == []


def test_a_card_of_a_payer_is_one_that_an_option_switches_off() -> None:
    name = "an_option_that_is_false_brings_no_such_card"
    other = {"uuid": "u", "source": {"topic": {"code": "limits"}}}
    found = verdict(name, cards(other), services=PAYER[:1], dialect="crd", charts=(wrong_server.CHART,))
    assert found == ["! CRD-115 at cards[0]: no option for cards of 'limits' [an order with a billing code]"]
    listed = {"uuid": "u", "source": {"topic": {"code": "claim"}}}
    found = verdict(name, cards(listed), services=PAYER[:1], dialect="crd", charts=(wrong_server.CHART,))
    where = "every kind of card is switched off"
    assert found == [f"! CRD-116 at cards[0]: a card of a kind that is switched off [{where}]"]


# Tokens


def test_a_token_that_is_no_jwt_cannot_be_altered() -> None:
    def refuses(request: httpx.Request, number: int) -> httpx.Response:
        return UNAUTHORIZED

    for name in ("an_altered_token_is_refused", "the_algorithm_none_is_refused", "symmetric_algorithms_are_refused"):
        words = ["not tested: the token that was given is no JWT"]
        for opaque in ("opaque", "two.parts", "f.o.u.r"):
            assert verdict(name, refuses, services=GREETER, token=opaque) == words
        assert verdict(name, refuses, services=GREETER, token=token()) == []
        assert verdict(name, services=GREETER, token=token()) == ["not tested: the server asks for no token"]
        assert verdict(name, services=GREETER) == ["not tested: no token was given"]


def test_a_key_of_one_algorithm_cannot_sign_with_others() -> None:
    name = "only_chosen_algorithms_are_taken"
    curve = Signer(new_key(ISSUER, "ES384"))
    assert verdict(name, answers(401), services=GREETER, signer=curve) == [
        "not tested: the key can sign with ES384 only"
    ]
    assert verdict(name, answers(401), services=GREETER, signer=signer()) == []


@pytest.mark.parametrize(
    ("bare", "with_token", "words"),
    [
        (200, 200, ["not tested: discovery needs no token"]),
        (401, 401, []),
        (401, 200, ["! DISC-16: answered 200 [discovery with a token for a service]"]),
    ],
)
def test_discovery_takes_tokens_for_discovery(bare: int, with_token: int, words: list[str]) -> None:
    def answer(request: httpx.Request, number: int) -> httpx.Response:
        return httpx.Response(with_token if "authorization" in request.headers else bare)

    name = "discovery_takes_tokens_for_discovery_only"
    found = verdict(name, answer, services=GREETER, signer=signer())
    assert found == words
    assert verdict(name, answer, services=GREETER) == ["not tested: no key was given (--key)"]


# Prefetch


@for_rows(
    ("later", "found"),
    [
        (cards(), True),
        (cards(extension={"com.example.missing": {"data": True}}), False),
        (cards({"summary": "Data is missing."}), False),
        (answers(412), False),
    ],
)
def test_missing_data_is_said(later: Any, found: bool) -> None:
    name = "missing_data_is_not_passed_over_in_silence"
    where = "[without prefetch and without FHIR access]"
    fault = f"! PRE-13: no data at all is answered like a patient without findings {where}"
    assert verdict(name, later, services=GREETER) == ([fault] if found else [])
    silent = verdict(name, later, services=GREETER, first=lambda _: {"cards": []})
    assert silent == ["not tested: greeter has no card for any of these patients"]


def test_a_service_that_does_not_ask_for_the_patient_cannot_mix_two() -> None:
    name = "another_patient_is_refused"
    conditions = {"conditions": wrong_server.PREFETCH["conditions"]}
    found = verdict(name, services=({**wrong_server.SERVICES[0], "prefetch": conditions},))
    assert found == ["not tested: greeter does not ask for the Patient"]
    words = "answered 200, as if nothing was wrong [prefetch.patient is another Patient]"
    assert verdict(name, services=GREETER) == [f"! PRE-04: {words}"]
    assert verdict(name, answers(400), services=GREETER) == []


def test_a_broken_bundle_is_not_taken_for_an_empty_one() -> None:
    name = "a_bundle_is_a_bundle"
    at = "prefetch.{} has text as entry"
    found = verdict(name, cards(), services=GREETER)
    assert found == [
        f"! HK-order-select-draftOrders: answered 200, as if the search had found nothing [{at.format(key)}]"
        for key in ("conditions", "coverage")
    ]

    def refuses(request: httpx.Request, number: int) -> httpx.Response:
        is_broken = '"entry": "none"' in request.content.decode()
        return httpx.Response(400 if is_broken else 200, json={"cards": []})

    assert verdict(name, refuses, services=GREETER) == []
    patient_only = ({**wrong_server.SERVICES[0], "prefetch": {"patient": wrong_server.PREFETCH["patient"]}},)
    assert verdict(name, cards(), services=patient_only) == ["not tested: greeter is sent no Bundle"]


# What comes back


def test_a_uuid_is_used_in_one_answer_only() -> None:
    card = {"uuid": "u", "summary": "s", "suggestions": [{"uuid": "v"}, {"label": "none"}]}
    name = "a_uuid_is_never_used_again"
    assert verdict(name, services=GREETER) == []
    found = verdict(name, services=GREETER, first=lambda _: {"cards": [card]})
    assert found == [
        "! CARD-01 at cards[0].uuid: also used for first [patient-view for second]",
        "! CARD-01 at cards[0].suggestions[0].uuid: also used for first [patient-view for second]",
    ]


def test_an_update_without_what_the_draft_had_is_found() -> None:
    name = "an_update_keeps_what_it_does_not_change"

    def bare(request: httpx.Request, number: int) -> httpx.Response:
        answer = wrong_server.answer_to(wrong_server.call_of(request))
        for suggestion in answer["cards"][0]["suggestions"]:
            resource = suggestion["actions"][0]["resource"]
            resource.pop("note", None)
            if "identifier" in resource:
                resource["identifier"] = [{"value": "more"}, *resource["identifier"]]
                resource["extension"] = {"url": "x"}
        return httpx.Response(200, json=answer)

    at = "cards[0].suggestions[1].actions[0].resource"
    where = "[a draft with identifier, note and extension]"
    assert verdict(name, services=ORDERS, charts=(wrong_server.CHART,)) == []
    assert verdict(name, bare, services=ORDERS, charts=(wrong_server.CHART,)) == [
        f"! ACT-04 at {at}: extension of the draft is lost or changed {where}",
        f"! ACT-04 at {at}: note of the draft is lost or changed {where}",
    ]
    assert verdict(name, services=GREETER) == ["not tested: greeter updates none of the drafted orders"]


# Parts of a document


def of_part(name: str, part: Json) -> list[tuple[str, str]]:
    """Place and sentence of everything that a check of a part finds."""
    return [(fault.location, fault.message) for fault in CHECKS[name].run(Node(part))]


def test_an_action_has_one_member_by_its_type() -> None:
    name = "an_action_carries_one_of_two_members"
    for kind in ("create", "update"):
        assert of_part(name, {"type": kind, "resource": {}}) == []
        assert of_part(name, {"type": kind, "resource": {}, "resourceId": "Task/1"}) == [
            ("resourceId", f"{kind} with resourceId")
        ]
    assert of_part(name, {"type": "delete", "resourceId": "Task/1"}) == []
    assert of_part(name, {"type": "delete", "resource": {}}) == [("resource", "delete with resource")]
    assert of_part(name, {"type": "delete", "resource": "Task/1"}) == []
    string = "a_resource_is_no_string"
    assert of_part(string, {"type": "delete", "resource": "Task/1"}) == [("resource", "string in resource (1.0 form)")]
    assert of_part(string, {"type": "delete", "resource": {}}) == of_part(string, {"type": "create", "resource": "x"})


def test_launch_parameters_are_looked_for_in_smart_links_with_an_address() -> None:
    name = "launch_parameters_are_left_to_the_client"
    address = "https://app.example/?launch=1&iss=2&issuer=3"
    expected = [("url", "the URL carries launch"), ("url", "the URL carries iss")]
    assert of_part(name, {"type": "smart", "url": address}) == expected
    assert of_part(name, {"type": "absolute", "url": address}) == []
    assert of_part(name, {"type": "smart", "url": "https://[app.example/?launch=1"}) == []


# FHIR access


def test_without_a_host_no_fhir_server_is_offered() -> None:
    server = wrong_server.WrongServer(takes, services=GREETER, base="http://cds.example")
    assert server.verdict(CHECKS["missing_keys_are_fetched"]) == [
        "not tested: no FHIR server was offered; name a host the server may call: --fhir-host 127.0.0.1"
    ]


def test_what_no_hook_of_the_library_is_about_is_not_tested() -> None:
    own = (wrong_server.entry("com.example.own", "own"),)
    assert verdict("required_context_is_there", services=own) == [
        "not tested: the context of com.example.own is not in the hook library"
    ]


# The assertions that checks share, each on what it accepts and what it refuses.
def _said(faults: Iterable[Fault]) -> list[tuple[str, str]]:
    return [(fault.message, fault.location) for fault in faults]


@for_rows(
    ("text", "is_absolute"),
    [
        ("https://x/y", True),
        ("http://x", True),
        ("ftp://x", False),
        ("https:///y", False),
        ("https://x/a b", False),
        ("https://[", False),
        ("/y", False),
        ("javascript:alert(1)", False),
    ],
)
def test_absolute_addresses(text: str, is_absolute: bool) -> None:
    assert assertions.is_absolute_url(text) is is_absolute
    said = _said(assertions.absolute_url(Node({"url": text}), "url"))
    assert said == ([] if is_absolute else [(f"url is {text!r}", "url")])


# What is found in a document with a fault, and how it is said, is what was written down and read.


def test_what_is_found_of_each_planted_fault_is_what_was_written_down() -> None:
    assert all_findings() == json.loads(FINDINGS.read_text(encoding="utf-8"))
