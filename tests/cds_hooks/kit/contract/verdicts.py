"""What every check that calls a server sends, and what it finds on servers that are wrong in one way each.

`python -m tests.cds_hooks.kit.contract.verdicts --write` writes `files/verdicts.json` anew: the lines are read as text
before they are committed. A line with `!` is a fault that was found.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from cds_hooks.kit.contract.checks import authentication
from cds_hooks.kit.contract.registry import Check, Scope, all_checks
from cds_hooks.kit.simulator import signing
from tests.cds_hooks.kit.contract.conftest import token
from tests.cds_hooks.kit.contract.good_tokens import signer
from tests.cds_hooks.kit.contract.wrong_server import NOTE, OPTIONS, SERVICES, WrongServer, answer_to, call_of, entry

VERDICTS = Path(__file__).parent / "files" / "verdicts.json"
NOW = 1_800_000_000
Later = Callable[[httpx.Request, int], httpx.Response]
Json = dict[str, Any]
# What waits, or is judged by the clock: test_answers.py and test_fhir_access.py.
_BY_THE_CLOCK = (
    "calls_are_answered_within_500_ms", "calls_at_once_do_not_mix", "one_caller_does_not_hold_up_the_others",
    "calls_at_once_are_computed_side_by_side", "a_key_set_of_a_stranger_is_neither_read_nor_believed",
)  # fmt: skip


def takes(request: httpx.Request, number: int) -> httpx.Response:
    """Everything is taken, whatever it is."""
    if request.method == "GET":
        return httpx.Response(200, json={"services": list(SERVICES)})
    if request.url.path.endswith("/feedback"):
        return httpx.Response(200, json={})
    return httpx.Response(200, json=answer_to(call_of(request)))


def answers(status: int, text: str = "") -> Later:
    """Everything is answered with this status."""
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x", "diagnostics": text}]}
    return lambda *_: httpx.Response(status, json=outcome)


def is_silent(request: httpx.Request, number: int) -> httpx.Response:
    """Nothing is answered."""
    raise httpx.ConnectError("nobody is there")


def says_something_else(request: httpx.Request, number: int) -> httpx.Response:
    """Each answer has another card than that before."""
    if request.method == "GET":
        return httpx.Response(200, json={"services": [], "number": number})
    return httpx.Response(
        200,
        json={"cards": [{"summary": f"card {number}", "detail": request.content[:20_000].decode("utf-8", "replace")}]},
    )


def asks_for_a_token(request: httpx.Request, number: int) -> httpx.Response:
    """Any token will do."""
    is_bare = not request.headers.get("authorization")
    return httpx.Response(401, json={"why": "none came"}) if is_bare else takes(request, number)


def refuses_tokens(request: httpx.Request, number: int) -> httpx.Response:
    """No token will do, and each is refused in other words."""
    return httpx.Response(401, json={"number": number})


def takes_a_token_once(request: httpx.Request, number: int) -> httpx.Response:
    """The second call and the third are answered: one without a token and the first with one; later ones are not."""
    return takes(request, number) if number == 2 else httpx.Response(403)


def with_headers(later: Later, **headers: str) -> Later:
    """The same answers with these headers."""

    def answer(request: httpx.Request, number: int) -> httpx.Response:
        response = later(request, number)
        response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return response

    return answer


def _allowing(origin: str) -> Later:
    return with_headers(takes, access_control_allow_origin=origin, access_control_allow_credentials="true")


def _only_first(later: Later) -> Later:
    return lambda request, number: (_allowing("*") if number == 1 else later)(request, number)


def note(**more: Any) -> Json:
    """Coverage information as CRD has it."""
    values: Json = {
        "coverage": {"valueReference": {"reference": "Coverage/cov-1"}},
        "covered": {"valueCode": "covered"},
        "date": {"valueDate": "2026-11-20"},
        "coverage-assertion-id": {"valueString": "a-1"},
    } | more
    return {"url": NOTE, "extension": [{"url": name, **value} for name, value in values.items() if value]}


def pays(*notes: Json) -> Callable[[Any], Json]:
    """A payer's response: what was drafted or booked, or an order of the chart, comes back with these notes on it."""

    def respond(call: Any) -> Json:
        context = call.get("context") if isinstance(call, dict) else None
        bundles = [context.get(name) for name in ("draftOrders", "appointments")] if isinstance(context, dict) else []
        held = [entry["resource"] for bundle in bundles if bundle for entry in bundle["entry"]]
        resources = held or [{"resourceType": "ServiceRequest", "id": "order-1"}]
        actions = [
            {"type": "update", "description": "Note", "resource": resource | {"extension": list(notes)}}
            for resource in resources
        ]
        return answer_to(call) | {"systemActions": actions if notes else []}

    return respond


def _pays_always(*notes: Json) -> Later:
    respond = pays(*notes)

    def later(request: httpx.Request, number: int) -> httpx.Response:
        call = call_of(request)
        return (
            httpx.Response(400 if call is None else 422)
            if not isinstance(call, dict)
            else httpx.Response(200, json=respond(call))
        )

    return later


@dataclass(frozen=True)
class Profile:
    """A server, and the modules whose checks are tried on it (all, where none is named)."""

    later: Later
    groups: tuple[str, ...] = ()
    sent: bool = False
    dialects: tuple[str, ...] = ("", "epic")
    more: tuple[tuple[str, Any], ...] = ()

    def server(self, check: Check) -> WrongServer:
        """The server, for one check."""
        return WrongServer(self.later, dialect=check.dialect or "standard", **dict(self.more))

    def checks(self) -> Iterator[Check]:
        """The checks."""
        for check in all_checks():
            calls = check.subject in (Scope.SERVICE, Scope.SERVER) and not check.slow
            by_hand = check.name in _BY_THE_CLOCK or check.group == "fhir_access"
            if (
                calls
                and not by_hand
                and check.dialect in self.dialects
                and check.group in (self.groups or [check.group])
            ):
                yield check


PAYER = tuple(
    entry(hook, hook, extension=OPTIONS)
    for hook in ("order-sign", "order-select", "order-dispatch", "appointment-book", "encounter-start")
)


def payer(*notes: Json, sent: bool = False, later: Later | None = None) -> Profile:
    """A payer that sends these notes on coverage with every order."""
    more: Any = (("services", PAYER), ("first", pays(*notes)))
    return Profile(later or _pays_always(*notes), sent=sent, dialects=("crd",), more=more)


def _once(*notes: Json) -> Later:
    """The notes come with the first answer only."""
    return lambda request, number: _pays_always(*(notes if number == 1 else ()))(request, number)


_TOKENS = ("authentication", "security")
_SIGNED: Any = (("signer", signer()), ("services", SERVICES[:1]))
_BEARER: Any = (("token", token()), ("services", SERVICES[:1]))
_LENIENT = ("accepted_requests", "prefetch", "epic")
_STRICT = ("refused_requests", "feedback", "discovery", "general")
PROFILES = {
    "takes everything": Profile(takes, sent=True),
    "says something else each time": Profile(says_something_else),
    "refuses everything": Profile(answers(400, "not so")),
    "lacks data": Profile(answers(412), (*_LENIENT, "refused_requests")),
    "fails": Profile(answers(500)),
    "has no such address": Profile(answers(404), _STRICT),
    "is silent": Profile(is_silent, (*_STRICT, "accepted_requests")),
    "never answers with cards": Profile(takes, more=(("first", lambda _: {}),)),
    "lists nothing": Profile(takes, more=(("services", ()),)),
    "takes every token": Profile(asks_for_a_token, _TOKENS, sent=True, more=_SIGNED),
    "takes no token": Profile(refuses_tokens, _TOKENS, more=_SIGNED),
    "takes a token once": Profile(takes_a_token_once, _TOKENS, more=_SIGNED),
    "takes every token of another": Profile(asks_for_a_token, _TOKENS, sent=True, more=_BEARER),
    "is not local": Profile(takes, ("security",), more=(("base", "http://cds.example"),)),
    "is served over https": Profile(takes, ("security",), more=(("base", "https://cds.example"),)),
    "trusts any origin": Profile(_allowing("*"), ("security",)),
    "trusts the stranger": Profile(_allowing("https://contract-kit-attacker.example"), ("security",)),
    "serves pages of this machine": Profile(
        with_headers(
            answers(200),
            access_control_allow_origin="http://localhost:8080",
            access_control_allow_methods="PUT",
            access_control_allow_headers="*",
        ),
        ("security",),
    ),
    "names headers": Profile(
        with_headers(
            takes, access_control_allow_origin="*", access_control_allow_headers="Authorization , X-Y, Content-Type"
        ),
        ("security",),
    ),
    "pays as it should": payer(note(), sent=True),
    "pays and says nothing new twice": payer(note(), later=_once(note())),
    "pays and asks for documents": payer(note(**{"doc-needed": {"valueCode": "clinical"}})),
    "pays by two coverages of one id": payer(
        note(), note(coverage={"valueReference": {"reference": "Coverage/cov-2"}})
    ),
    "pays by two coverages": payer(
        note(),
        note(**{"coverage": {"valueReference": {"reference": "C/2"}}, "coverage-assertion-id": {"valueString": "a-2"}}),
    ),
    "pays without a word": payer(),
    "pays, and refuses what is odd": payer(note(), later=answers(403)),
    "pays, and fails": payer(note(), later=answers(500)),
    "pays, and takes everything": payer(note(), later=takes),
    "is no payer": Profile(takes, dialects=("crd",)),
    "serves pages for discovery only": Profile(_only_first(answers(400)), ("security",)),
}


def verdicts(name: str) -> dict[str, list[str]]:
    """What each check sends and finds on this server."""
    profile = PROFILES[name]
    clocks = [mock.patch.object(module, "time", return_value=float(NOW)) for module in (authentication, signing)]
    with clocks[0], clocks[1]:
        found = {check.name: profile.server(check).verdict(check, profile.sent) for check in profile.checks()}
    return {name: lines for name, lines in found.items() if lines}


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    written = {name: verdicts(name) for name in PROFILES}
    VERDICTS.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
