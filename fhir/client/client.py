"""Reads and searches on one FHIR server, with pages and retries. The HTTP client that is given holds the token.

There is no clock here: how much time is left is asked of whoever set the deadline."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from fhir.client.errors import FetchError, Reason
from fhir.client.query import FetchLimits, Query, Read, Search
from fhir.record.record import read_value
from fhir.record.refusals import Refusal
from fhir.record.resources import Bundle, BundleEntry, OperationOutcome

RETRIED = (429, 503)
_FIRST_SECONDS = 0.05


def seconds_to_wait(headers: Mapping[str, str], attempt: int) -> float:
    """Seconds before the next attempt; `attempt` counts from 0.

    `Retry-After` is a number of seconds, or a date that is compared with the server's own `Date`, so that no clock is
    needed here. Without either: 50 ms, doubled each time.
    """
    at_least = _FIRST_SECONDS * 2.0**attempt
    return max(at_least, _asked_for(headers))


def _asked_for(headers: Mapping[str, str]) -> float:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def next_page(link: str, base: httpx.URL) -> httpx.URL:
    """Return the absolute address of a `next` link. Raises FetchError where it is not below the base address.

    A link decides where the token goes next, and it comes from outside (checklist row FHIR-21).
    """
    try:
        address = base.join(link)
    except httpx.InvalidURL as error:
        raise FetchError("elsewhere") from error
    if address.userinfo or address.fragment or not _is_below(address, base):
        raise FetchError("elsewhere")
    return address


def _is_below(address: httpx.URL, base: httpx.URL) -> bool:
    if (address.scheme, address.host, address.port) != (base.scheme, base.host, base.port):
        return False
    root = base.path.rstrip("/")
    # `path` is decoded once: a dot segment that was written as %2e%2e is one here as well
    if any(part in (".", "..") for part in address.path.replace("\\", "/").split("/")):
        return False
    return address.path == root or address.path.startswith(f"{root}/")


_REASONS: Final[Mapping[int, Reason]] = {401: "unauthorized", 403: "forbidden", 429: "busy", 503: "busy"}
_NO_SUCH_RESOURCE = (404, 410)
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_MOST_ATTEMPTS = 8
_LARGE_BYTES = 1024 * 1024
_Body = bytes  # by another name inside Found, which has a member `bytes`


class FetchResult(Struct, frozen=True):
    """The result of a query: a lean resource, a Bundle of all its pages, or None where a read finds nothing.

    `ended` says why it is not all of it, where it is not; `refusals` name what in it could not be read; `bodies` are
    the pages as they came, where they are to be kept.
    """

    value: Any
    refusals: tuple[Refusal, ...]
    pages: int
    bytes: int
    ended: FetchError | None = None
    bodies: tuple[_Body, ...] = ()


class FhirClient:
    """Reads and searches on one FHIR server within the time that is left."""

    def __init__(
        self, http: httpx.AsyncClient, remaining: Callable[[], float], bounds: FetchLimits | None = None
    ) -> None:
        """`http` has the server's base address and, where there is one, the token; `remaining` gives seconds."""
        self._http = http
        self._base = http.base_url
        self._remaining = remaining
        self._bounds = bounds or FetchLimits()

    async def fetch(self, query: Query, name: str, *, keeps: bool = False) -> FetchResult:
        """Return the result of a query. Raises FetchError where nothing can be used. `name` is used in refusals."""
        if isinstance(query, Read):
            return await self._read(query, name, keeps)
        return await self._search(query, name, keeps)

    async def fetch_remaining_pages(self, first: Bundle, name: str, *, keeps: bool = False) -> FetchResult:
        """Return the given first page of a search together with the pages after it, as far as they can be read."""
        return await self._with_the_rest(_Pages(first, keeps=keeps), name)

    async def _read(self, query: Read, name: str, keeps: bool) -> FetchResult:
        status, body = await self._send(self._http.build_request("GET", query.path), self._bounds.bytes)
        if status in _NO_SUCH_RESOURCE:
            return FetchResult(None, (), 1, len(body))
        value, refusals = await _decode(status, body, name)
        if value is None or _type_of(value) != query.type:
            raise FetchError("unreadable")
        return FetchResult(value, tuple(refusals), 1, len(body), bodies=(body,) if keeps else ())

    async def _search(self, query: Search, name: str, keeps: bool) -> FetchResult:
        if query.is_long:
            content = query.form.encode()
            request = self._http.build_request("POST", f"{query.type}/_search", content=content, headers=_FORM)
        else:
            request = self._http.build_request("GET", query.path)
        pages = _Pages(keeps=keeps)
        await self._take_page(pages, request, name)
        return await self._with_the_rest(pages, name)

    async def _with_the_rest(self, pages: "_Pages", name: str) -> FetchResult:
        seen: set[str] = set()
        try:
            while pages.next is not None:
                address = next_page(pages.next, self._base)
                if str(address) in seen:
                    raise FetchError("unreadable", "the FHIR server's pages go in a circle")
                seen.add(str(address))
                if pages.count >= self._bounds.pages:
                    raise FetchError("too-large")
                await self._take_page(pages, self._http.build_request("GET", address), name)
        except FetchError as error:
            return pages.result(error)
        return pages.result()

    async def _take_page(self, pages: "_Pages", request: httpx.Request, name: str) -> None:
        status, body = await self._send(request, self._bounds.bytes - pages.bytes)
        value, refusals = await _decode(status, body, name)
        if not isinstance(value, Bundle):
            raise FetchError("unreadable")
        _require_results(value)
        pages.take(value, refusals, body)

    async def _send(self, request: httpx.Request, most_bytes: int) -> tuple[int, bytes]:
        """Status and body; waits and tries again after 429 and 503, and after nothing else."""
        remaining = self._remaining()
        if remaining <= 0:
            raise FetchError("timeout")
        try:
            async with asyncio.timeout(remaining):
                for attempt in range(_MOST_ATTEMPTS):
                    response, body = await self._once(request, most_bytes)
                    if response.status_code not in RETRIED:
                        break
                    seconds = seconds_to_wait(response.headers, attempt)
                    if seconds >= self._remaining():
                        raise FetchError("busy")
                    await asyncio.sleep(seconds)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise FetchError("timeout") from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise FetchError("unreachable") from error
        return response.status_code, body

    async def _once(self, request: httpx.Request, most_bytes: int) -> tuple[httpx.Response, bytes]:
        # What is compressed can grow without bound when it is unpacked: asked for plain, taken plain only.
        request.headers["accept-encoding"] = "identity"
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            if 300 <= response.status_code < 400:
                raise FetchError("elsewhere")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise FetchError("unreadable")
            parts: list[bytes] = []
            async for part in response.aiter_raw():
                parts.append(part)
                most_bytes -= len(part)
                if most_bytes < 0:
                    raise FetchError("too-large")
        finally:
            await response.aclose()
        return response, b"".join(parts)


class _Pages:
    """The pages of one search, put together."""

    def __init__(self, first: Bundle | None = None, *, keeps: bool = False) -> None:
        self._keeps = keeps
        self._bodies: list[bytes] = []
        self._entries: list[BundleEntry] = []
        self._refusals: list[Refusal] = []
        self._total: int | None = None
        self.next: str | None = None
        self.count = 0
        self.bytes = 0
        if first is not None:
            self.take(first, [], b"")

    def take(self, page: Bundle, refusals: list[Refusal], body: bytes) -> None:
        self._entries += page.entry
        self._refusals += refusals
        self._total = page.total if self._total is None else self._total
        self.next = next((link.url for link in page.link if link.relation == "next" and link.url), None)
        self.count += 1
        self.bytes += len(body)
        if self._keeps and body:
            self._bodies.append(body)

    def result(self, ended: FetchError | None = None) -> FetchResult:
        value = Bundle(type="searchset", total=self._total, entry=tuple(self._entries))
        return FetchResult(value, tuple(self._refusals), self.count, self.bytes, ended, tuple(self._bodies))


async def _decode(status: int, body: bytes, name: str) -> tuple[Any, list[Refusal]]:
    """Return what the body says; a large one is decoded beside the event loop, which it would stop for 10 ms."""
    if len(body) < _LARGE_BYTES:
        return _decoded(status, body, name)
    return await asyncio.to_thread(_decoded, status, body, name)


def _decoded(status: int, body: bytes, name: str) -> tuple[Any, list[Refusal]]:
    if status >= 400 or status == 204:
        raise FetchError(_REASONS.get(status, "server-error"))
    try:
        return read_value(name, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FetchError("unreadable") from error


def _require_results(page: Bundle) -> None:
    """FetchError where the Bundle holds nothing but OperationOutcomes that tell of an error."""
    outcomes = [entry.resource for entry in page.entry if isinstance(entry.resource, OperationOutcome)]
    if len(outcomes) == len(page.entry) and any(not outcome.says_none_found for outcome in outcomes):
        raise FetchError("server-error")


def _type_of(value: Any) -> str:
    type_name: str | None = getattr(value, "resource_type", None)
    return type_name or str(type(value).__struct_config__.tag)
