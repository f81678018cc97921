"""A hook call that sends the service to a FHIR server for what it does not bring."""

from collections.abc import Collection
from typing import Any

from cds_hooks.calling.chart import ChartError

OPEN_SERVER_TOKEN = "open-server"  # noqa: S105 - for a server that asks for none: a service reads with a token or not at all
_SECONDS = 300
_SUBJECT = "cds-hooks-call"


def without_keys(request: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """The request with some prefetch keys left out; ChartError where it has no such key."""
    prefetch = request.get("prefetch") or {}
    unknown = sorted(set(keys) - set(prefetch))
    if unknown:
        raise ChartError(f"there is no prefetch key {', '.join(unknown)}; there are {', '.join(prefetch)}")
    return request | {"prefetch": {key: value for key, value in prefetch.items() if key not in keys}}


def with_fhir_server(request: dict[str, Any], url: str, token: str | None, omitted: Collection[str]) -> dict[str, Any]:
    """The request with `fhirServer` and a token instead of prefetch, or instead of the `omitted` keys of it."""
    prefetch = {"prefetch": without_keys(request, omitted)["prefetch"]} if omitted else {}
    granted = {
        "access_token": token or OPEN_SERVER_TOKEN,
        "token_type": "Bearer",
        "expires_in": _SECONDS,
        "scope": "patient/*.read",
        "subject": _SUBJECT,
        "patient": request["context"]["patientId"],
    }
    others = {name: member for name, member in request.items() if name != "prefetch"}
    return others | {"fhirServer": url, "fhirAuthorization": granted} | prefetch
