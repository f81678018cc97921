"""Checks of prefetched data that is missing, or of another patient; the forms that clients send are in `tries.csv`."""

from typing import Any, Final

from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import SHOULD, NotTested
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.target import Service

_EMPTY: Final = {"resourceType": "Bundle", "type": "searchset", "total": 0}
_STRANGER: Final = "contract-kit-another-patient"


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


def _send(service: Service, title: str, prefetch: dict[str, Any], broken: bool = False) -> Exchange:
    return service.send(service.request() | {"prefetch": prefetch}, title, broken=broken)
