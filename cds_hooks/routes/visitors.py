"""Who may see what this server counted and why it decided as it did, where other machines can reach it."""

from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final

from starlette.requests import HTTPConnection

from cds_hooks.settings import Settings

_BEARER: Final = "bearer "
# With one of these the request came through a proxy, and the address it comes from is the proxy's.
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Visitors:
    """The rule for /metrics and the pages of single decisions.

    In the development profile, which listens on this machine only, everyone may. With a trust file: the holder of
    CDS_OPERATOR_TOKEN, whoever asks from this machine itself, and for the pages everyone where CDS_EXPLAIN_PAGES says
    that the site stands in front of them with an access control of its own.
    """

    def __init__(self, configured: Settings) -> None:
        token = configured.operator_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._development = configured.trust_file is None
        self._pages = configured.shows_pages

    def may_see_metrics(self, request: HTTPConnection) -> bool:
        """Whether this request may read what was counted."""
        return self._development or _is_from_here(request) or self._has_token(request.headers)

    def may_see_decisions(self, request: HTTPConnection) -> bool:
        """Whether this request may read why a decision was as it was, which holds values of a patient."""
        return self._pages or self.may_see_metrics(request)

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "")
        if self._token is None or given[: len(_BEARER)].lower() != _BEARER:
            return False
        return compare_digest(given[len(_BEARER) :].strip().encode(), self._token)


def _is_from_here(request: HTTPConnection) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
