"""The route of a hook call: finds the service and the client, and answers."""

import asyncio
import re
from collections.abc import Mapping
from math import inf
from time import monotonic, time_ns
from typing import Final

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from cds_hooks.call.answer import invoke
from cds_hooks.call.components import ServerComponents
from cds_hooks.call.computing import refuse_late
from cds_hooks.call.routes.entrance import (
    BodyReader,
    CallBudgets,
    failure_outcome,
    log_refusal,
    send_json,
    send_refusal,
    trace_fields,
)
from cds_hooks.call.security.trust import Trust, TrustedClient, proxied_call
from cds_hooks.call.services import Service
from cds_hooks.call.stages import SENT_AS_TRIAL, open_call
from cds_hooks.errors import CALL_ID, BodyTooLarge, HookError, MethodNotAllowed, NotFound, RecordFailed, Untrusted
from cds_hooks.evidence.storage.decision import RecordUnavailable, are_of_one_call, new_decision_id
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions
from cds_hooks.server.edge import ARRIVED
from cds_hooks.telemetry.logs import log, log_failure
from cds_hooks.telemetry.tracing import CallTrace

_REPEATED_WITHIN: Final = 60 * 10**9
"""Nanoseconds; a proxy sends a call again after 30 s at the latest (docs/operations/files/cds-hooks-proxy.conf)."""
_HOOK: Final = re.compile(rb'"hook"\s?:\s?"([a-z][a-z.-]{1,60})"')


class HookRoute:
    """Answers calls of hooks. An ASGI application: what Starlette does for a request costs as much as a small call."""

    def __init__(
        self,
        services: Mapping[str, Service],
        components: ServerComponents,
        trust: Trust,
        budgets: CallBudgets,
        bodies: BodyReader,
    ) -> None:
        """`services` are by every id that a call may name (`by_address`)."""
        self.services = services
        self.components = components
        self.trust = trust
        self.budgets = budgets
        self.bodies = bodies
        self._proxies = components.settings.proxy_networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["service_id"]
        named_service = self.services.get(name)
        service_id = named_service.id if named_service is not None else ""  # what else stands in a URL may be anything
        sent = proxied_call(scope, self._proxies)
        decision_id = new_decision_id(sent.fingerprint if sent is not None else None)
        trace = self.components.tracing.begin(scope["headers"])
        attempt = _Attempt(is_trial=scope.get(SENT_AS_TRIAL) is True)
        arrived = scope.get(ARRIVED, inf)
        try:
            refuse_late(arrived)  # before the token is checked, which costs as much as a small call
            client = await self.trust.client_of(scope["headers"], scope["path"], sent)  # before services are named
            attempt.client, attempt.is_repeated = client.name, sent is not None and sent.is_repeated
            if trace is not None:
                trace.trusted(client.name, decision_id)
            service = self._service(name, scope["method"])
            response = await self._invoke(service, client, decision_id, scope, receive, trace, attempt)
        except Untrusted as error:
            # why a caller is not trusted is for the operator only; the caller always hears the same
            self.components.metrics.refused(service_id, error.status, error.reason)
            self.components.metrics.count("cds_untrusted", error.reason)
            await send_refusal(send, error, decision_id)
            log_refusal(service_id, error.status, error.reason, decision_id, error.client, trace)
        except HookError as error:
            reason = type(error).__name__
            self._count_refusal(service_id, error.status, reason, attempt)
            await send_refusal(send, error, decision_id, receive if isinstance(error, BodyTooLarge) else None)
            log_refusal(service_id, error.status, reason, decision_id, attempt.client, trace, attempt.hook)
            _end(trace, service_id, error.status, reason)
        except Exception as error:
            self._count_refusal(service_id, 500, type(error).__name__, attempt)
            await send_json(send, 500, failure_outcome(decision_id), [(CALL_ID, decision_id.encode())])
            log_failure("call failed", error, decision_id, service_id, **trace_fields(trace))
            _end(trace, service_id, 500, type(error).__name__)
        else:
            await send_json(send, 200, response)
            if arrived != inf:
                self.components.metrics.took("cds_call_seconds", service_id, monotonic() - arrived)
            if trace is not None:
                _end(trace, service_id, 200)

    def _count_refusal(self, service: str, status: int, reason: str, attempt: "_Attempt") -> None:
        if attempt.is_trial:
            return
        self.components.metrics.refused(service, status, reason)
        if attempt.client:
            self.components.metrics.count("cds_refused", attempt.client, service, attempt.hook, reason)

    async def _invoke(
        self,
        service: Service,
        client: TrustedClient,
        decision_id: str,
        scope: Scope,
        receive: Receive,
        trace: CallTrace | None,
        attempt: "_Attempt",
    ) -> bytes:
        with self.budgets.call(client, self.components.settings):
            content = await self.bodies.read(scope["headers"], receive)
            attempt.hook = _hook_of(content, service)
            recorded = await self._recorded(service, client, decision_id, content) if attempt.is_repeated else None
            if recorded is not None:
                return recorded
            call = open_call(service, client, self.components, decision_id, trace, is_trial=attempt.is_trial)
            return (await invoke(call, content)).decision.response

    async def _recorded(
        self, service: Service, client: TrustedClient, decision_id: str, content: bytes
    ) -> bytes | None:
        """Return what was answered to a call that its proxy sends again; None where it was not answered before."""
        try:
            hook_instance = msgspec.json.decode(content, type=_Instance).hookInstance
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # which is refused as it was before
        since = (time_ns() - _REPEATED_WITHIN) // 1000
        wanted = DecisionFilter(service.id, None, client.name, since=since, hook_instance=hook_instance)
        try:
            decisions = await asyncio.to_thread(list, find_decisions(self.components.settings.database_url, wanted))
        except RecordUnavailable as error:
            raise RecordFailed("The record cannot be read, so no advice is given. Try again later.") from error
        for decision in decisions:
            if are_of_one_call(decision.id, decision_id) and decision.outcome != "error":
                log().info("call answered again", service=service.id, client=client.name, decision=decision.id)
                return decision.response
        return None

    def _service(self, name: str, method: str) -> Service:
        service = self.services.get(name)
        if service is None:
            raise NotFound.of_service(name, self.services)
        if method != "POST":
            raise MethodNotAllowed(
                f"A service is called by POST; received {method[:16]}. GET /cds-services lists the services."
            )
        return service


class _Attempt(Struct):
    """What is known of a call when it is refused: the client after its token, the hook after its body."""

    is_trial: bool
    client: str = ""
    hook: str = ""
    is_repeated: bool = False


class _Instance(Struct):
    hookInstance: str


def _hook_of(body: bytes, service: Service) -> str:
    """Return the hook of the service that the body seems to name; "" for anything else, which may be anything."""
    match = _HOOK.search(body)
    name = match[1].decode() if match is not None else ""
    return name if name in service.answers else ""


def _end(trace: CallTrace | None, service: str, status: int, reason: str = "") -> None:
    """End the call's span, and name the call and its trace in a line of the log at the level `debug`."""
    if trace is None:
        return
    trace.end(service, status, reason)
    if status == 200:
        log().debug("call answered", service=service, status=status, decision=trace.decision, trace=trace.trace_id)
