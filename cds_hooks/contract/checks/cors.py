"""CORS: whether clients in a browser are served, and safely."""

from typing import Final

from cds_hooks.contract.exchange import Exchange
from cds_hooks.contract.finding import SHOULD, NotTested
from cds_hooks.contract.registry import Faults, tries_server
from cds_hooks.contract.target import Target

_STRANGER: Final = "https://contract-kit-attacker.example"
_ALLOWED: Final = "access-control-allow-origin"


@tries_server("CORS-02", "CORS-01", level=SHOULD)
def a_preflight_is_answered(target: Target) -> Faults:
    """If browsers may call: answer OPTIONS before authentication, allow POST, Authorization and Content-Type."""
    for path, method in _addresses(target):
        exchange = _preflight(target, path, method, target.origin)
        if not exchange.ok:
            yield exchange.fault(exchange.answer)
        elif exchange.headers.get(_ALLOWED) not in ("*", target.origin):
            yield exchange.fault(f"{target.origin} is not allowed")
        else:
            yield from _allows(exchange, method)


def _allows(exchange: Exchange, method: str) -> Faults:
    methods = _listed(exchange, "access-control-allow-methods")
    # GET, HEAD and POST need no mention (Fetch standard); naming them is what most servers do.
    if methods and not {method.lower(), "*"} & methods and method not in ("GET", "POST"):
        yield exchange.fault(f"{method} is not allowed")
    headers = _listed(exchange, "access-control-allow-headers")
    for name in ("authorization", "content-type"):
        if name not in headers and not ("*" in headers and name != "authorization"):
            yield exchange.fault(f"the header {name} is not allowed")


@tries_server("CORS-01")
def no_origin_is_trusted_with_credentials(target: Target) -> Faults:
    """Never allow credentials together with any origin, neither by * nor by echoing the origin that asks."""
    for path, method in _addresses(target):
        for exchange in (
            _preflight(target, path, method, _STRANGER),
            target.connection.get(path, "GET with an unlisted origin", headers={"origin": _STRANGER}),
        ):
            credentials = exchange.headers.get("access-control-allow-credentials", "").lower() == "true"
            if credentials and exchange.headers.get(_ALLOWED) in ("*", _STRANGER):
                yield exchange.fault(f"{exchange.headers.get(_ALLOWED)} is allowed with credentials")


@tries_server("CORS-03", level=SHOULD)
def cors_headers_stand_on_every_answer(target: Target) -> Faults:
    """Send CORS headers with POST, 4xx and 5xx too: else a browser shows its user a network error."""
    origin = {"origin": target.origin}
    first = target.connection.get("/cds-services", "discovery from a browser", headers=origin)
    if first.headers.get(_ALLOWED) not in ("*", target.origin):
        raise NotTested(f"discovery does not serve browsers from {target.origin}")
    service = target.any_service
    for exchange in (
        service.send(service.request(), "a call from a browser", headers=origin),
        service.send_as_is(b"{", "a broken call from a browser", headers=origin, broken=True),
        target.connection.get("/cds-services/contract-kit-no-such-service", "an unknown service", headers=origin),
    ):
        if exchange.headers.get(_ALLOWED) not in ("*", target.origin):
            yield exchange.fault(f"answered {exchange.status} without {_ALLOWED}")


def _addresses(target: Target) -> list[tuple[str, str]]:
    paths = [service.path for service in target.services[:1]]
    return [("/cds-services", "GET"), *((path, "POST") for path in paths)]


def _preflight(target: Target, path: str, method: str, origin: str) -> Exchange:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization, content-type",
    }
    return target.connection.send("OPTIONS", path, f"preflight from {origin}", headers=headers, authenticated=False)


def _listed(exchange: Exchange, name: str) -> set[str]:
    return {part.strip().lower() for part in exchange.headers.get(name, "").split(",") if part.strip()}
