"""Checks of how a service reads what was prefetched: every form that clients send."""

from typing import Any, Final

from cds_hooks.tools.kit.contract.assertions import (
    expect_cards,
    expect_cards_or_412,
    expect_no_failure,
    expect_refusal,
)
from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.target import Service

_OUTCOME: Final = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "timeout", "diagnostics": "The search took too long."}],
}
_EMPTY: Final = {"resourceType": "Bundle", "type": "searchset", "total": 0}
_STRANGER: Final = "contract-kit-another-patient"
_NO_RESOURCES: Final[tuple[Any, ...]] = (
    "text",
    17,
    [],
    {},
    {"resourceType": 5},
    {"resourceType": "Bundle", "entry": [None, {}, 3]},
)


@check_service("PRE-02", "PRE-13")
def each_key_may_be_missing(service: Service) -> Faults:
    """Answer with what there is, or with 412 where the missing key is needed: a client may honour any subset."""
    for key in service.prefetch():
        yield from expect_cards_or_412(_send(service, f"without prefetch.{key}", _all_but(service, key)))


@check_service("PRE-13", "RESP-05")
def no_prefetch_is_412_or_an_answer(service: Service) -> Faults:
    """Answer 412 where needed data is absent and no FHIR server is offered: 400 and 500 say something else."""
    service.prefetch()
    request = service.request()
    del request["prefetch"]
    yield from expect_cards_or_412(service.send(request, "without prefetch and without FHIR access"))
    yield from expect_cards_or_412(_send(service, "with an empty prefetch object", {}))


@check_service("PRE-13", "RESP-05", level=SHOULD)
def missing_data_is_not_passed_over_in_silence(service: Service) -> Faults:
    """Answer 412, or say on a card or in extension what is missing: an empty list says that nothing was found."""
    service.prefetch()
    if not service.base.exchange.cards:
        raise NotTested(f"{service.id} has no card for any of these patients")
    request = service.request()
    del request["prefetch"]
    exchange = service.send(request, "without prefetch and without FHIR access")
    value = exchange.document.value
    if exchange.cards == [] and isinstance(value, dict) and "extension" not in value:
        yield exchange.fault("no data at all is answered like a patient without findings")


@check_service("PRE-13", "PRE-10", level=SHOULD)
def null_means_asked_and_none_found(service: Service) -> Faults:
    """Take null as the answer that there is none: it is neither missing (412) nor an error."""
    for key in _keys_that_may_hold_nothing(service):
        yield from expect_cards(_send(service, f"prefetch.{key} is null", service.prefetch() | {key: None}))


@check_service("PRE-10", level=SHOULD)
def null_for_everything_does_not_break_the_service(service: Service) -> Faults:
    """Answer, or refuse where the Patient is needed, but do not fail where every value is null."""
    yield from expect_no_failure(_send(service, "every prefetch value is null", dict.fromkeys(service.prefetch())))


def _keys_that_may_hold_nothing(service: Service) -> list[str]:
    """All but the Patient, without whom a service may refuse to advise however the client says so."""
    return [
        key
        for key, value in service.prefetch().items()
        if not (isinstance(value, dict) and value.get("resourceType") == "Patient")
    ]


@check_service("PRE-13", "PRE-10", level=SHOULD)
def an_empty_bundle_means_none_found(service: Service) -> Faults:
    """Take a Bundle without entries as the answer that there is none."""
    for key in service.search_keys():
        yield from expect_cards(
            _send(service, f"prefetch.{key} is a Bundle without entry", _with(service, key, _EMPTY))
        )
        empty = _EMPTY | {"entry": []}
        yield from expect_cards(_send(service, f"prefetch.{key} is a Bundle with entry []", _with(service, key, empty)))


@check_service("PRE-11", "PRE-08", level=SHOULD)
def a_failed_prefetch_is_known_as_such(service: Service) -> Faults:
    """Look for OperationOutcomes: a failed search is unknown data, neither none nor an error of yours."""
    for key in service.prefetch():
        title = f"prefetch.{key} is an OperationOutcome"
        yield from expect_cards_or_412(_send(service, title, _with(service, key, _OUTCOME)))
    for key in service.search_keys():
        entry = {"resource": _OUTCOME, "search": {"mode": "outcome"}}
        failed = _EMPTY | {"entry": [entry]}
        title = f"prefetch.{key} is a Bundle with an OperationOutcome"
        yield from expect_cards_or_412(_send(service, title, _with(service, key, failed)))


@check_service("PRE-05", level=SHOULD)
def keys_that_were_not_asked_for_are_ignored(service: Service) -> Faults:
    """Ignore prefetch keys you did not ask for."""
    for title, value in {"a resource": {"resourceType": "Basic", "id": "contract-kit"}, "null": None}.items():
        strange = service.prefetch() | {"contractKitUnknown": value}
        yield from expect_cards(_send(service, f"an unknown prefetch key with {title}", strange))


@check_service("PRE-06", level=SHOULD)
def a_wrapped_value_does_not_break_the_service(service: Service) -> Faults:
    """Unwrap or refuse the form of before 1.0, {"response": …, "resource": …}, but do not fail on it."""
    for key in list(service.prefetch())[:1]:
        wrapped = {"response": {"status": "200 OK"}, "resource": service.prefetch().get(key)}
        yield from expect_no_failure(_send(service, f"prefetch.{key} is wrapped", _with(service, key, wrapped)))


@check_service("PRE-06", level=SHOULD)
def a_value_that_is_no_resource_does_not_break_the_service(service: Service) -> Faults:
    """Answer or refuse a value that is not a FHIR resource, but do not fail on it."""
    for key in list(service.prefetch())[:1]:
        for value in _NO_RESOURCES:
            title = f"prefetch.{key} is {value!r:.40}"
            yield from expect_no_failure(_send(service, title, _with(service, key, value)))


@check_service("PRE-14", level=SHOULD)
def a_paged_search_is_taken(service: Service) -> Faults:
    """Take a Bundle with a next link: without a token you cannot follow it, and the data is known to be partial."""
    prefetch = service.prefetch()
    for key in service.search_keys():
        link = [{"relation": "next", "url": "https://ehr.example/fhir?_getpages=2"}]
        paged = prefetch[key] | {"total": 999, "link": link}
        yield from expect_cards_or_412(_send(service, f"prefetch.{key} has a next page", _with(service, key, paged)))


@check_service("PRE-04", level=SHOULD)
def another_patient_is_refused(service: Service) -> Faults:
    """Refuse a call whose prefetch is about another patient than context.patientId: mixing two is the worst advice."""
    is_tested = False
    for key, value in service.prefetch().items():
        if isinstance(value, dict) and value.get("resourceType") == "Patient":
            is_tested = True
            strange = _with(service, key, value | {"id": _STRANGER})
            yield from expect_refusal(_send(service, f"prefetch.{key} is another Patient", strange, broken=True))
    if not is_tested:
        raise NotTested(f"{service.id} does not ask for the Patient")


@check_service("PRE-04", level=SHOULD)
def the_drafts_of_another_patient_are_refused(service: Service) -> Faults:
    """Refuse a call whose draft orders are for another patient than context.patientId."""
    request = service.request()
    bundle = request["context"].get("draftOrders") if service.hook in ("order-select", "order-sign") else None
    if not isinstance(bundle, dict):
        raise NotTested(f"{service.hook} has no draftOrders")
    for entry in bundle["entry"]:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = {"reference": f"Patient/{_STRANGER}"}
    yield from expect_refusal(service.send(request, "draftOrders are for another patient", broken=True))


@check_service("PRE-04", level=SHOULD)
def the_results_of_another_patient_are_refused(service: Service) -> Faults:
    """Refuse a call with a result, condition or order of another patient, or leave that resource out of the advice."""
    for key in service.search_keys():
        bundle = service.prefetch()[key]
        entries = [entry for entry in bundle.get("entry", []) if "reference" in entry["resource"].get("subject", {})]
        if entries:
            subject = {"reference": f"Patient/{_STRANGER}"}
            moved = bundle | {
                "entry": [entry | {"resource": entry["resource"] | {"subject": subject}} for entry in entries]
            }
            exchange = _send(
                service, f"prefetch.{key} is about another patient", _with(service, key, moved), broken=True
            )
            # Passing over every stranger's resource is a right answer too: then all is as if the search had found none.
            without = _send(service, f"prefetch.{key} is empty", _with(service, key, _EMPTY))
            if exchange.status < 400 and exchange.advice != without.advice:
                yield exchange.fault(f"{exchange.answer} with advice from another patient's data")


def _with(service: Service, key: str, value: object) -> dict[str, Any]:
    return service.prefetch() | {key: value}


def _all_but(service: Service, key: str) -> dict[str, Any]:
    return {name: value for name, value in service.prefetch().items() if name != key}


def _send(service: Service, title: str, prefetch: dict[str, Any], broken: bool = False) -> Exchange:
    return service.send(service.request() | {"prefetch": prefetch}, title, broken=broken)
