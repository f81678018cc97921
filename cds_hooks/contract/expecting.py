"""What a check of a service asks of an answer: success, refusal, or one of several."""

from dataclasses import replace

from cds_hooks.contract.dialects import Request
from cds_hooks.contract.exchange import Exchange
from cds_hooks.contract.registry import Faults
from cds_hooks.contract.service import Service


def answered(exchange: Exchange) -> Faults:
    """A fault where the answer is not 200 with cards."""
    if exchange.cards is None:
        yield exchange.fault(exchange.answer)


def answered_or_412(exchange: Exchange) -> Faults:
    """A fault where the answer is neither 200 with cards nor 412."""
    if exchange.status != 412:
        yield from answered(exchange)


def not_failed(exchange: Exchange) -> Faults:
    """A fault where the server failed (5xx) or gave no answer; 200 and 4xx are both fine."""
    if exchange.status >= 500 or not exchange.status:
        yield exchange.fault(exchange.answer)


def refused(exchange: Exchange) -> Faults:
    """A fault where the answer is a success. Which status refuses is the server's choice."""
    if exchange.status < 400:
        yield exchange.fault(f"{exchange.answer}, as if nothing was wrong")


def refused_without(service: Service, *path: str) -> Faults:
    """A fault where a call without this member is answered with success."""
    request, *names = service.request(), *path
    member = ".".join(names)
    yield from refused(service.send(without(request, names), f"{service.hook} without {member}", broken=True))


def refused_with(service: Service, what: str, **members: object) -> Faults:
    """A fault where a call with these top-level members is answered with success."""
    yield from refused(service.send(service.request() | members, f"{service.hook} with {what}", broken=True))


def without(request: Request, names: list[str]) -> Request:
    """The request with the member at this path taken out."""
    holder = request
    for name in names[:-1]:
        holder = holder[name]
    holder.pop(names[-1], None)
    return request


def of_field(service: Service, name: str, faults: Faults) -> Faults:
    """The faults, under the row of this field of the service's hook."""
    for fault in faults:
        yield replace(fault, row=f"HK-{service.hook}-{name}")
