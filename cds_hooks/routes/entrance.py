"""The middlewares that each request passes: by which name it may ask, from which origin, and how redirects are sent.

Without a trust file everyone on this machine may call, and the operator's listener on loopback asks for no token; so
could a page in this machine's browser. A page cannot read answers of another origin, but a name of its own site that is
changed to 127.0.0.1 while the page is open makes this server its own origin (DNS rebinding). Such a call carries that
name in its Host header.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds_hooks.errors import MisdirectedRequest
from cds_hooks.routes.failures import log_refusal, send_refusal
from cds_hooks.storage.decision import new_decision_id


class ProtocolCors(CORSMiddleware):
    """CORS for the addresses of CDS Hooks: other origins have no business on the pages.

    A call without an origin needs no headers for one.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_protocol = scope["type"] == "http" and scope["path"].startswith("/cds-services")
        is_of_browser = is_protocol and b"origin" in dict(scope["headers"])
        await (super().__call__ if is_of_browser else self.app)(scope, receive, send)


class KnownHosts:
    """Refuses requests that were made for the name of another site (`HostCheck`)."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        """`app` answers the others."""
        self._app = app
        self._hosts = HostCheck(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"localhost")
            if not self._hosts.allows(host):
                await refuse_host(send)
                return
        await self._app(scope, receive, send)


_PART_BYTES: Final = 64 * 1024


class InParts:
    """Sends a large page in parts, each when the one before was taken.

    A hundred connections that asked for the largest file and did not read it kept 300 MB.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_parts(message: Message) -> None:
            body = message.get("body", b"")
            for start in range(0, len(body) - _PART_BYTES, _PART_BYTES):
                part = body[start : start + _PART_BYTES]
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if len(body) > _PART_BYTES:
                message = {**message, "body": body[(len(body) - 1) // _PART_BYTES * _PART_BYTES :]}
            await send(message)

        await self._app(scope, receive, send_parts)


class HostCheck:
    """Answers to this machine's own names, to addresses, and to the host of `CDS_PUBLIC_URL`; no other name."""

    def __init__(self, public_url: str) -> None:
        self._names: Final = {"localhost", (urlsplit(public_url).hostname or "").lower()}
        self._last = b"localhost"

    def allows(self, host: bytes) -> bool:
        """Return whether a request with this Host header is answered; one without comes from no browser."""
        if host == self._last:
            return True
        if not self._is_known(host):
            return False
        self._last = host
        return True

    def _is_known(self, host: bytes) -> bool:
        if b"@" in host or b"/" in host:
            return False
        try:
            name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
        except ValueError:
            return False
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be rebound


async def refuse_host(send: Send) -> None:
    """421: this name is not answered to."""
    text = "This server answers to this machine's names, to addresses and to the host of CDS_PUBLIC_URL only."
    call_id = new_decision_id()
    log_refusal("", MisdirectedRequest.status, MisdirectedRequest.__name__, call_id)
    await send_refusal(send, MisdirectedRequest(text), call_id)


class RelativeRedirects:
    """Sends a browser from an address with a slash too many or too few to the right one, in relative steps.

    Starlette names the Host header and the scheme that this process sees: behind a proxy that ends TLS the browser
    would ask again in the clear, with the whole address, and with a forged Host header it would go to another server.
    """

    def __init__(self, app: ASGIApp) -> None:
        """`app` answers."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == _TO_THE_SLASH:
                headers = MutableHeaders(raw=message["headers"])
                headers["location"] = _relative(scope)
                headers["cache-control"] = "no-store"
            await send(message)

        await self._app(scope, receive, send_relative if scope["type"] == "http" else send)


_TO_THE_SLASH: Final = 307
"""The status of Starlette's redirects for slashes; ours have 303 or 308."""


def _relative(scope: Scope) -> str:
    path, query = scope["path"], scope["query_string"].decode("latin-1")
    last = quote(path.rstrip("/").rpartition("/")[2])
    target = f"../{last}" if path.endswith("/") else f"./{last}/"
    return f"{target}?{query}" if query else target
