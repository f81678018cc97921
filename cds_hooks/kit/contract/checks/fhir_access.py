"""Checks of how a service reads from the client's FHIR server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cds_hooks.kit.contract.connection import Exchange
from cds_hooks.kit.contract.dialects import Request
from cds_hooks.kit.contract.document import SHOULD, NotTested, observe
from cds_hooks.kit.contract.fhir_stub import TOKEN, FhirStub, serving_fhir
from cds_hooks.kit.contract.prefetch import fill
from cds_hooks.kit.contract.registry import Faults, check_service
from cds_hooks.kit.contract.target import Service

_PATIENCE: Final = 3
_INJECTED_ID: Final = "contractkit1"


@check_service("PRE-12", "FHIR-01")
def missing_keys_are_fetched(service: Service) -> Faults:
    """Run the templates that the client did not satisfy against fhirServer, with the token it gave."""
    with _offered(service) as stub:
        for exchange in _asked(service, stub):
            if not stub.asked:
                yield exchange.fault(f"{exchange.answer}; nothing was fetched")
                return
            if exchange.cards is not None:
                return
        yield exchange.fault(exchange.answer)


@check_service("PRE-12")
def only_missing_keys_are_fetched(service: Service) -> Faults:
    """Leave alone what was prefetched, null included: it is known already."""
    with _offered(service) as stub:
        fetched = False
        for key in service.base.sent["prefetch"]:
            stub.asked.clear()
            brought = {name: value for name, value in service.request()["prefetch"].items() if name != key}
            exchange = _ask(service, stub, brought, f"all but prefetch.{key}, FHIR access offered")
            fetched = fetched or bool(stub.asked)
            known = {_query(service, name) for name in brought} - {_query(service, key)}
            again = sorted(known & {_normal(query) for query in stub.asked})
            if again:
                yield exchange.fault(f"fetched again: {again[0]:.80}")
        if not fetched:
            raise NotTested("the service asked the offered FHIR server for nothing")


@check_service("PRE-15", level=SHOULD)
def fetched_data_gives_the_same_advice(service: Service) -> Faults:
    """Come to the same advice from prefetch and from the FHIR server."""
    with _offered(service) as stub:
        for exchange in _asked(service, stub):
            _fetched(stub)
            if exchange.cards is None or exchange.said == service.base.exchange.said:
                return
        yield exchange.fault("the cards differ from those with full prefetch")


@check_service("FHIR-02")
def every_fhir_call_carries_the_token(service: Service) -> Faults:
    """Send the access token with every FHIR call, next pages included."""
    with _offered(service) as stub:
        exchange = _ask(service, stub, {}, "nothing prefetched, FHIR access offered")
        _fetched(stub)
        bare = [query for query, token in zip(stub.asked, stub.tokens, strict=True) if token != f"Bearer {TOKEN}"]
        if bare:
            yield exchange.fault(f"without the token: {bare[0]:.60}")


@check_service("FHIR-20", "PRE-13", level=SHOULD)
def a_refused_token_is_missing_data(service: Service) -> Faults:
    """Treat a 401 of the FHIR server as data that cannot be had: 412 if it was required, else an answer."""
    with _offered(service) as stub:
        stub.mode = "401"
        exchange = _ask(service, stub, {}, "the FHIR server refuses the token")
        _fetched(stub)
        if exchange.status != 412 and exchange.cards is None:
            yield exchange.fault(exchange.answer)


@check_service("PRE-14", level=SHOULD)
def next_pages_are_followed(service: Service) -> Faults:
    """Follow next links, within a bound: half of the results is no basis for advice."""
    with _offered(service) as stub:
        stub.mode = "paged"
        exchange = _ask(service, stub, {}, "the FHIR server sends its results in two pages")
        _fetched(stub)
        if not any("_page=" in query for query in stub.asked) and _has_several(service):
            yield exchange.fault("no next page was asked for")


@check_service("FHIR-21", level=SHOULD)
def next_links_to_other_hosts_are_not_followed(service: Service) -> Faults:
    """Keep next links on the origin of fhirServer: the token belongs nowhere else."""
    yield from _another_origin(service, "foreign", "the FHIR server's next link leads to another origin")


@check_service("FHIR-02", level=SHOULD)
def next_pages_are_asked_for_with_the_token(service: Service) -> Faults:
    """Send the access token with the request for a next page too: it is a FHIR call like the first."""
    with _offered(service) as stub:
        stub.mode = "paged"
        exchange = _ask(service, stub, {}, "the FHIR server sends its results in two pages, with a token each")
        pages = [token for query, token in zip(stub.asked, stub.tokens, strict=True) if "_page=" in query]
        observe(pages, "no next page was asked for")
        if any(token != f"Bearer {TOKEN}" for token in pages):
            yield exchange.fault("the next page was asked for without the token")


@check_service("FHIR-21", level=SHOULD)
def redirects_are_not_followed_with_the_token(service: Service) -> Faults:
    """Follow no redirect of the FHIR server to another origin: the token belongs nowhere else."""
    yield from _another_origin(service, "redirect", "the FHIR server redirects to another origin")


def _another_origin(service: Service, mode: str, purpose: str) -> Faults:
    """A fault where the service calls the other origin to which its FHIR server points."""
    with _offered(service) as stub, serving_fhir(stub.chart, service.fhir_host) as other:
        stub.mode, stub.elsewhere = mode, other.base
        exchange = _ask(service, stub, {}, purpose)
        _fetched(stub)
        if other.asked:
            sent = " with the token" if any(other.tokens) else ""
            yield exchange.fault(f"the other origin was called{sent}")


@check_service("FHIR-20", "PRE-17", level=SHOULD, slow=True)
def a_stalled_fhir_server_does_not_stall_the_service(service: Service) -> Faults:
    """Bound the time that reading FHIR may take: answer with what is known, or 412, before the client gives up."""
    with _offered(service) as stub:
        stub.mode = "stalled"
        exchange = _ask(service, stub, {}, "the FHIR server takes the request and does not answer")
        _fetched(stub)
        if not exchange.status:
            yield exchange.fault(f"{exchange.answer} while the FHIR server did not answer")


@check_service("HK-patient-view-patientId", level=SHOULD)
def a_patient_id_stays_one_value_of_a_query(service: Service) -> Faults:
    """Refuse or escape a patient id with characters of a query: else it asks the FHIR server for something else."""
    with _offered(service) as stub:
        for more, became in (("&_count=0", "a parameter"), ("/_history", "a step of the path")):
            request = service.request() | stub.access()
            request["context"]["patientId"] = _INJECTED_ID + more
            request.pop("prefetch", None)
            what = f"a patient id with {more[0]} in it, FHIR access offered"
            exchange = service.send_as_is(request, what, broken=True)
            if any(_INJECTED_ID + more in path for path in stub.paths):
                yield exchange.fault(f"a part of the patient id became {became} of its own")


@contextmanager
def _offered(service: Service) -> Iterator[FhirStub]:
    if not service.fhir_host:
        raise NotTested("no FHIR server was offered; name a host the server may call: --fhir-host 127.0.0.1")
    if not service.base.sent.get("prefetch"):
        raise NotTested(f"{service.id} asks for no prefetch that can be filled")
    with serving_fhir(service.base.chart, service.fhir_host) as stub:
        yield stub


def _asked(service: Service, stub: FhirStub) -> Iterator[Exchange]:
    """The same call a few times: on a busy machine a service may run out of the time it gives itself for fetching."""
    for _ in range(_PATIENCE):
        yield _ask(service, stub, {}, "nothing prefetched, FHIR access offered")


def _ask(service: Service, stub: FhirStub, prefetch: Request, what: str) -> Exchange:
    request = service.request() | stub.access()
    del request["prefetch"]
    return service.send_as_is(request | ({"prefetch": prefetch} if prefetch else {}), what)


def _fetched(stub: FhirStub) -> None:
    if not stub.asked:
        raise NotTested("the service asked the offered FHIR server for nothing")


def _query(service: Service, key: str) -> str:
    """The query of this key, filled: what the FHIR server would be asked."""
    sent = service.base.sent
    template = service.entry["prefetch"][key]
    return _normal(fill(template, sent["context"], service.as_of.date(), sent["prefetch"]) or "")


def _normal(query: str) -> str:
    """A query without its page, its parameters in order: the same search written in two ways is one."""
    path, _, search = query.partition("?")
    return f"{path}?{'&'.join(sorted(part for part in search.split('&') if not part.startswith('_page=')))}"


def _has_several(service: Service) -> bool:
    values = service.base.sent["prefetch"].values()
    return any(isinstance(each, dict) and len(each.get("entry", [])) > 1 for each in values)
