"""Who is the operator: the holder of CDS_OPERATOR_TOKEN, and whoever asks at the address of CDS_OPERATOR_LISTEN."""

from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final

from starlette.requests import HTTPConnection

from cds_hooks.routes.entrance import HostCheck
from cds_hooks.settings import Settings

_BEARER: Final = "bearer "


class OperatorAccess:
    """The rule for the pages of the operator where pages need no login.

    In the development profile, which listens on this machine only, everyone is the operator. That a connection comes
    from this machine proves nothing otherwise: a proxy on it need add no header.
    """

    def __init__(self, configured: Settings) -> None:
        token = configured.operator_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._development = configured.trust_file is None
        self._listen = configured.operator_address
        self._hosts = HostCheck(configured.public_url)

    def is_operator(self, request: HTTPConnection) -> bool:
        """Return whether this request may open the pages of the operator."""
        return self._development or self.is_machine(request)

    def is_machine(self, request: HTTPConnection) -> bool:
        """Return whether this request has the operator's token or came to the operator's own address."""
        return self._came_to_operator(request) or self._has_token(request.headers)

    def _came_to_operator(self, request: HTTPConnection) -> bool:
        """Return whether the connection is to CDS_OPERATOR_LISTEN; the server's own socket says so, no header can.

        On loopback a browser could have been brought there by the name of another site (routes/entrance.py). An
        address that other machines reach proves nothing: there the token or a login is asked for.
        """
        socket = request.scope.get("server")
        if self._listen is None or socket is None:
            return False
        host, port = self._listen
        if port is None:
            return tuple(socket) == self._listen
        if socket[1] != port or socket[0] != host or not ip_address(host).is_loopback:
            return False
        headers = dict(request.scope["headers"])
        return self._hosts.allows(headers.get(b"host", b"localhost"))

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        token = headers.get("authorization", "")
        if self._token is None or token[: len(_BEARER)].lower() != _BEARER:
            return False
        return compare_digest(token[len(_BEARER) :].strip().encode(), self._token)
