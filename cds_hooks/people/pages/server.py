"""What the views of the pages work with: the parts of this server, and how a page is rendered, refused and routed."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from hmac import compare_digest
from inspect import iscoroutinefunction, signature
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from cds_hooks.call.components import ServerComponents
from cds_hooks.call.hold_back.released import Key
from cds_hooks.call.routes.entrance import HostCheck
from cds_hooks.call.security.trust import Trust
from cds_hooks.call.services import Service, every_service
from cds_hooks.call.services._model import site_thresholds
from cds_hooks.errors import CALL_ID, HookError
from cds_hooks.evidence.decision_views.follow import Follower
from cds_hooks.evidence.record_views import open_follower
from cds_hooks.evidence.storage.decision import RecordUnavailable, new_decision_id, plain
from cds_hooks.people.access.sessions import Lifetimes, Sessions
from cds_hooks.people.access.store import AccessStore
from cds_hooks.people.governance.approvals import ApprovalBook
from cds_hooks.people.pages.model_files import ModelFiles
from cds_hooks.people.pages.record_counts import CountKeeper
from cds_hooks.people.pages.rules.standing import Committee
from cds_hooks.people.web.forms import MOST_BYTES, Form, read_form
from cds_hooks.people.web.numbers import format_time
from cds_hooks.people.web.site import HEADERS, Failure, PageRefusal, Site, render
from cds_hooks.people.web.visitor import visiting
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log
from cds_hooks.telemetry.metrics import MetricsFolder

View = Callable[..., Response | Awaitable[Response]]
"""Answers a request for a page; its parameters are read by FastAPI, and it runs in a thread unless it is `async`."""

T = TypeVar("T")

_PAGES_AT_ONCE: Final = 2
"""Forty threads that make pages, as many as there are otherwise, leave the event loop little of the interpreter."""


@dataclass(eq=False)
class PageServer:
    """The parts of one server process that its pages use.

    `approvals` is None in the development profile; `app` gives the whole server, which the tester calls.
    """

    settings: Settings
    services: dict[str, Service]
    components: ServerComponents
    approvals: ApprovalBook | None
    served: Mapping[Key, str]
    trust: Trust
    metrics: MetricsFolder
    app: Callable[[], ASGIApp]

    def __post_init__(self) -> None:
        """Put together what the pages share."""
        settings, components = self.settings, self.components
        self.site = site_of(settings, self.services.values())
        self.operator = OperatorAccess(settings)
        self.files = ModelFiles(settings.models_folder)
        restraint, releases = components.restraint, components.releases
        book = lambda: self.counts.counted().book  # noqa: E731 - the follower is opened with the first page that counts
        self.committee = Committee(book, restraint, self.approvals, releases, settings.model_state, self.served)
        self.store = AccessStore(settings.database_url)
        lifetimes = Lifetimes(60 * settings.login_idle_minutes, 3600 * settings.login_hours)
        secure = settings.public_url.startswith("https:")
        self.sessions = Sessions(self.store, lifetimes, secure=secure)
        self._limiter = CapacityLimiter(_PAGES_AT_ONCE)

    @cached_property
    def service_titles(self) -> dict[str, str]:
        """The title of each service by its id."""
        return {name: service.title for name, service in every_service(self.services).items()}

    @cached_property
    def counts(self) -> CountKeeper:
        """The counts of the record."""
        return CountKeeper(self.settings.database_url, self.follower)

    @cached_property
    def follower(self) -> Follower:
        """What follows the record; where the server does, its views are read."""
        return open_follower(self.settings)

    def now(self) -> datetime:
        """Return the time by the clock that calls are answered by."""
        return self.settings.as_of or datetime.now(UTC)

    @property
    def actor(self) -> str:
        """Who asks, as the record names them."""
        visitor = visiting().visitor
        if visitor is not None:
            return visitor.actor
        return "anyone" if self.site.development else "operator"

    def page(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] = HEADERS, **values: Any
    ) -> Response:
        """Return a page from a template of `cds_hooks/people/pages`."""
        body = render(template, site=self.site, root=visiting().root, **values)
        # a text of a chart or of an answer may hold half a character, which no page can
        return Response(body.encode("utf-8", "replace"), status, headers, media_type="text/html")

    def refuse(self, request: Request, failure: Failure, status: int) -> Response:
        """Return the answer to a request that may not go on: a page, or an OperationOutcome for JSON alone.

        It has the id under which the operator's log names it.
        """
        call_id = new_decision_id()
        log().info("call refused", status=status, reason=failure.title, decision=call_id)
        headers = HEADERS | {CALL_ID.decode(): call_id}
        asks_for_json = "application/json" in request.headers.get("accept", "") or request.url.path.endswith(".json")
        if not asks_for_json or wants_page(request):
            sign = "Not found" if status == 404 else "Refused" if status < 500 else "Failed"
            values = {"failure": failure, "sign_words": sign, "call_id": call_id}
            return self.page("failure.html", status=status, headers=headers, **values)
        issue = {
            "severity": "error",
            "code": "not-found" if status == 404 else "forbidden",
            "diagnostics": f"{failure.what} {failure.next}",
        }
        return JSONResponse({"resourceType": "OperationOutcome", "id": call_id, "issue": [issue]}, status, headers)

    def count_store_failure(self, error: RecordUnavailable) -> None:
        """Count, for the alerts, that a page could not be shown or recorded because a store cannot be used."""
        log().error("record away", status=503, reason=plain(error.cause))
        self.components.metrics.refused("", 503, type(error).__name__)

    def refuse_without_store(self, request: Request, failure: Failure, error: RecordUnavailable) -> Response:
        """Return the answer to a request that needs a store which cannot be used."""
        self.count_store_failure(error)
        return self.refuse(request, failure, 503)

    async def form(
        self, request: Request, most_bytes: int = MOST_BYTES, *, upload: bool = False, of_session: bool = True
    ) -> Form:
        """Return the fields of a posted form.

        Raises:
            PageRefusal: it cannot be read, or was not made for this session.
        """
        try:
            seconds = self.settings.body_seconds
            return await read_form(request, seconds, most_bytes, upload=upload, of_session=of_session)
        except HookError as error:
            text = "Nothing was recorded, sent or changed. Open the page again."
            raise PageRefusal(Failure("The form cannot be used", error.text, text), error.status) from error

    async def in_thread(self, view: Callable[[], Response]) -> Response:
        """Return what a view answers that is computed in a thread; two run at once, so that no hook call waits."""
        return await to_thread.run_sync(view, limiter=self._limiter)

    def route(
        self,
        path: str,
        view: View,
        methods: Iterable[str] = ("GET",),
        *,
        limiter: CapacityLimiter | None = None,
        upload: bool = False,
        most_bytes: int = MOST_BYTES,
        of_session: bool = True,
    ) -> APIRoute:
        """Return the route of a view, whose typed parameters come from the path, the query and the form (`posted`).

        A view is computed in a thread, so that no hook call waits for it: two at once, or as many as `limiter` lets.
        A posted form is read before; it is `request.state.form`.
        """

        async def read(request: Request) -> None:
            if request.method == "POST":
                request.state.form = await self.form(request, most_bytes, upload=upload, of_session=of_session)

        async def in_thread(**values: Any) -> Any:
            return await to_thread.run_sync(partial(view, **values), limiter=limiter or self._limiter)

        endpoint = view if iscoroutinefunction(view) else in_thread
        in_thread.__signature__ = signature(view)  # type: ignore[attr-defined]  # FastAPI reads it from there
        also = {"HEAD"} if "GET" in methods else set()
        return APIRoute(path, endpoint, methods={*methods, *also}, dependencies=[Depends(read)], response_model=None)


def posted(fields: type[T]) -> Callable[[Request], Awaitable[T]]:
    """Return the dependency of a view that takes a form: its fields, checked."""
    adapter = TypeAdapter(fields)

    async def read(request: Request) -> T:
        return adapter.validate_python(request.state.form)

    return read


def away(title: str, what: str) -> Failure:
    """Return what somebody reads where a database does not answer."""
    text = f"{what} does not answer at the moment. Nothing was shown or changed."
    return Failure(title, text, "Try again in a minute. If it stays so, tell the operator of this server.")


def wants_page(request: Request) -> bool:
    """Return whether a browser asks; programs get JSON."""
    return "text/html" in request.headers.get("accept", "")


def site_of(settings: Settings, services: Iterable[Service]) -> Site:
    """Return what every page of a server knows; of several services with one model the largest share counts."""
    thresholds = site_thresholds(settings)
    shares: dict[str, float] = {}
    by_age: set[str] = set()
    advisors = (advisor for service in services for advisor in service.advisors)
    for chart_model in (advisor.of_chart for advisor in advisors if advisor.of_chart is not None):
        for model in chart_model.loaded:
            share = chart_model.share_for(model.manifest, thresholds)
            shares[model.manifest.id] = max(share, shares.get(model.manifest.id, 0.0))
            if chart_model.compares_within_ages(model.manifest, thresholds):
                by_age.add(model.manifest.id)
    clock = format_time(settings.as_of) if settings.as_of else ""
    return Site(settings.trust_file is None, settings.share_of_all_models, shares, clock, frozenset(by_age))


# Who is the operator: the holder of CDS_OPERATOR_TOKEN, and whoever asks at the address of CDS_OPERATOR_LISTEN


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
