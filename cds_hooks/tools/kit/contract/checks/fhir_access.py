"""Checks of how a service reads from the client's FHIR server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from time import sleep
from typing import Any, Final
from urllib.parse import unquote_plus

from cds_hooks.tools.kit.contract.assertions import expect
from cds_hooks.tools.kit.contract.charts import USER
from cds_hooks.tools.kit.contract.connection import Exchange
from cds_hooks.tools.kit.contract.document import SHOULD, observe
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.requests import KIT_AUTHORIZATION, Request
from cds_hooks.tools.kit.contract.target import Service
from cds_hooks.tools.kit.simulator.fhir_server import BASE, Behaviour, FhirServer, LoggedRequest, serving_fhir
from cds_hooks.tools.kit.simulator.templates import fill

_PATIENCE: Final = 3
_INJECTED_ID: Final = "contractkit1"
_ONE_PAGE: Final = 100_000
_STALL_SECONDS: Final = 60.0
_HOLD_UP_SECONDS: Final = 2.0
_HELD_UP_SECONDS: Final = 0.15
_READ_SECONDS: Final = 0.1
"""In which the kit has read an answer that was sent before another one."""
_UNAUTHORIZED: Final = 401


@check_service("PRE-12", "FHIR-01")
def missing_keys_are_fetched(service: Service) -> Faults:
    """Run the templates that the client did not satisfy against fhirServer, with the token it gave."""
    with _offered(service) as offer:
        for exchange in offer.call_some_times():
            if not offer.requests:
                observe(service.must_fetch, "the service reads nothing from a FHIR server that it was not told of")
                yield exchange.fault(f"{exchange.answer}; nothing was fetched")
                return
            if exchange.cards is not None:
                return
        yield exchange.fault(exchange.answer)


@check_service("PRE-12")
def only_missing_keys_are_fetched(service: Service) -> Faults:
    """Leave alone what was prefetched, null included: it is known already."""
    with _offered(service) as offer:
        fetched = False
        for key in service.base.sent["prefetch"]:
            offer.requests.clear()
            brought = {name: value for name, value in service.request()["prefetch"].items() if name != key}
            exchange = offer.call(brought, f"all but prefetch.{key}, FHIR access offered")
            fetched = fetched or bool(offer.requests)
            brought_queries = {_query(service, name) for name in brought} - {_query(service, key)}
            repeated_queries = sorted(brought_queries & {_normal(_relative(request)) for request in offer.requests})
            if repeated_queries:
                yield exchange.fault(f"fetched again: {repeated_queries[0]:.80}")
        observe(fetched, "the service asked the offered FHIR server for nothing")


@check_service("PRE-15", level=SHOULD)
def fetched_data_gives_the_same_advice(service: Service) -> Faults:
    """Come to the same advice from prefetch and from the FHIR server."""
    with _offered(service) as offer:
        for exchange in offer.call_some_times():
            offer.observe_request()
            if exchange.cards is None or exchange.advice == service.base.exchange.advice:
                return
        yield exchange.fault("the cards differ from those with full prefetch")


@check_service("FHIR-02")
def every_fhir_call_carries_the_token(service: Service) -> Faults:
    """Send the access token with every FHIR call, next pages included."""
    with _called(service, "the FHIR server sends its results in two pages", halves=True) as (offer, exchange):
        bare = [request for request in offer.requests if request.status == _UNAUTHORIZED]
        if bare:
            yield exchange.fault(f"without the token: {_relative(bare[0]):.60}")


@check_service("FHIR-20", "PRE-13", level=SHOULD)
def a_refused_token_is_missing_data(service: Service) -> Faults:
    """Treat a 401 of the FHIR server as data that cannot be had: 412 if it was required, else an answer."""
    with _called(service, "the FHIR server refuses the token", mode="401") as (_, exchange):
        yield from expect("answered or 412", exchange)


@check_service("PRE-14", level=SHOULD)
def next_pages_are_followed(service: Service) -> Faults:
    """Follow next links, within a bound: half of the results is no basis for advice."""
    with _called(service, "the FHIR server sends its results in two pages", halves=True) as (offer, exchange):
        if not any("_offset=" in request.query for request in offer.requests) and _has_several(service):
            yield exchange.fault("no next page was asked for")


@check_service("FHIR-21", level=SHOULD)
def other_hosts_are_not_called(service: Service) -> Faults:
    """Keep next links on the origin of fhirServer, and follow no redirect to another: the token belongs to it alone."""
    for mode, title in (("next-elsewhere", "next link leads"), ("redirect", "redirect leads")):
        title = f"the FHIR server's {title} to another origin"
        with (
            _serving(service) as other,
            _called(service, title, mode=mode, halves=True, elsewhere=other.base) as (_, exchange),
        ):
            if other.requests:
                sent = " with the token" if any(request.token for request in other.requests) else ""
                yield exchange.fault(f"the other origin was called{sent}")


@check_service("FHIR-20", "PRE-17", level=SHOULD, slow=True)
def a_stalled_fhir_server_does_not_stall_the_service(service: Service) -> Faults:
    """Bound the time that reading FHIR may take: answer with what is known, or 412, before the client gives up."""
    title = "the FHIR server takes the request and does not answer"
    with _called(service, title, mode="slow", delay_seconds=_STALL_SECONDS) as (_, exchange):
        if not exchange.status:
            yield exchange.fault(f"{exchange.answer} while the FHIR server did not answer")


@check_service("RESP-01", "PRE-17", level=SHOULD)
def one_callers_slow_fhir_server_does_not_hold_up_the_others(service: Service) -> Faults:
    """Answer other calls while one waits for its FHIR server: a lock around calls stops a hospital for one slow EHR."""
    alone = service.send(service.request(), "a call alone").seconds
    with _offered(service, mode="slow", delay_seconds=_HOLD_UP_SECONDS) as offer, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(offer.call, {}, "the FHIR server answers late")
        for _ in range(50):
            if offer.server.received or waiting.done():
                break
            sleep(0.02)
        offer.observe_request()
        exchange = service.send(service.request(), "while another call waits for its FHIR server")
        still_waits = not wait([waiting], _READ_SECONDS).done
        offer.server.released.set()
        waited = waiting.result()
    if still_waits:
        return
    if exchange.seconds > _HELD_UP_SECONDS + 3 * alone and exchange.seconds > waited.seconds / 2:
        yield exchange.fault(f"answered after {exchange.seconds:.1f} s, alone after {alone:.1f} s")


@check_service("HK-patient-view-patientId", level=SHOULD)
def a_patient_id_stays_one_value_of_a_query(service: Service) -> Faults:
    """Refuse or escape a patient id with characters of a query: else it asks the FHIR server for something else."""
    with _offered(service) as offer:
        for more, became in (("&_count=0", "a parameter"), ("/_history", "a step of the path")):
            request = service.request() | offer.access()
            request["context"]["patientId"] = _INJECTED_ID + more
            request.pop("prefetch", None)
            title = f"a patient id with {more[0]} in it, FHIR access offered"
            exchange = service.send_as_is(request, title, broken=True)
            if any(
                _INJECTED_ID + more in f"{request.path}?{request.query}&{request.form}" for request in offer.requests
            ):
                yield exchange.fault(f"a part of the patient id became {became} of its own")


@dataclass(frozen=True)
class _Offer:
    """A FHIR server over the chart of a service's base call, offered to the service."""

    service: Service
    server: FhirServer

    @property
    def requests(self) -> list[LoggedRequest]:
        """The requests that came."""
        return self.server.requests

    def call(self, prefetch: Request, title: str) -> Exchange:
        """Call the service with this prefetch and access to the server."""
        request = self.service.request() | self.access()
        del request["prefetch"]
        return self.service.send_as_is(request | ({"prefetch": prefetch} if prefetch else {}), title)

    def call_some_times(self) -> Iterator[Exchange]:
        """Call without prefetch: on a busy machine a service may run out of the time it gives itself for fetching."""
        for _ in range(_PATIENCE):
            yield self.call({}, "nothing prefetched, FHIR access offered")

    def access(self) -> Request:
        """Return the members that offer the server to a service."""
        patient_id = self.service.base.chart.patient_id
        authorization = KIT_AUTHORIZATION | {"scope": "patient/*.read user/*.read", "patient": patient_id}
        return {"fhirServer": self.server.base, "fhirAuthorization": authorization}

    def observe_request(self) -> None:
        """Raise NotTested where the service asked the server for nothing."""
        observe(self.server.received, "the service asked the offered FHIR server for nothing")


@contextmanager
def _offered(service: Service, **behaviour: Any) -> Iterator[_Offer]:
    observe(service.fhir_host, "no FHIR server was offered; name a host the server may call: --fhir-host 127.0.0.1")
    service.prefetch()
    with _serving(service, **behaviour) as server:
        yield _Offer(service, server)


@contextmanager
def _called(service: Service, title: str, **behaviour: Any) -> Iterator[tuple[_Offer, Exchange]]:
    """Call the service without prefetch; NotTested where it asks the offered server for nothing."""
    with _offered(service, **behaviour) as offer:
        exchange = offer.call({}, title)
        offer.observe_request()
        yield offer, exchange


def _serving(service: Service, **behaviour: Any) -> AbstractContextManager[FhirServer]:
    resources = [*service.base.chart.chart.resources, USER]
    behaviour = {"token": KIT_AUTHORIZATION["access_token"], "page_size": _ONE_PAGE, "lenient": True} | behaviour
    return serving_fhir(resources, Behaviour(**behaviour), host=service.fhir_host)


def _relative(request: LoggedRequest) -> str:
    """Return a request as a query relative to the base, of a search by POST too."""
    path = request.path.removeprefix(f"{BASE}/").removesuffix("/_search")
    search = "&".join(text for text in (request.query, request.form) if text)
    return f"{path}?{unquote_plus(search)}" if search else path


def _query(service: Service, key: str) -> str:
    """Return the query of this key, filled: what the FHIR server would be asked."""
    sent = service.base.sent
    template = service.entry["prefetch"][key]
    return _normal(fill(template, sent["context"], service.as_of.date()) or "")


def _normal(query: str) -> str:
    """Return a query without its page, its parameters in order: the same search written in two ways is one."""
    path, _, search = query.partition("?")
    return f"{path}?{'&'.join(sorted(part for part in search.split('&')))}"


def _has_several(service: Service) -> bool:
    values = service.base.sent["prefetch"].values()
    return any(isinstance(value, dict) and len(value.get("entry", [])) > 1 for value in values)
