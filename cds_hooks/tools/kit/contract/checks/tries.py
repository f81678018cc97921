"""Checks that send one changed call, body, token, feedback item or another request, and say how it has to be answered.

A row of `tries.csv` is one try; the rows of one check stand together, and its advice is in the first. `call of HOOK` is
for this hook alone, `GET discovery` a request by this method, made once for the server. `with` depends on what is sent:

- call, as is, feedback: the members that are put in, as JSON; a call is sent in the dialect's shape or as it is.
  `{patient}` is the patient's id, `{selections}` the selections, `{again}` a hookInstance that was sent, `{UPPER}` a
  new one in upper case.
- token: claims and header; a number is seconds from now, and digits as text are that moment as text. `{url}` is the
  service, `{path}` its path, `{discovery}` the URL of discovery, `{origin}` and `{host}` those of the server.
- prefetch: the value of the keys that `without` names, one call for each of them; one with `+` before it is merged
  into what is there, and without one the key is left out.
- body: the text that is sent, in Latin-1; `{request}` is the call, `{open}` the same without its last brace and
  `{inner}` without its first, `{half}` its first half, `{hook}` its hook.
- drafts: the text of draftOrders; `{draft}` is the drafted order but for the members that `without` names, `{open}` the
  same without its last brace, `{entries}` all that is drafted, `{patient}` the patient's id, `{today}` the day.
- a method, with `discovery`, `service`, or `unknown` for a service that is not listed: the body, `{hook}` its hook.
- feedback body: the text; `{item}` is an overridden card, `{open}` the same without its last brace, `{card}` and
  `{suggestion}` are uuids.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from time import time
from typing import Any, Final
from urllib.parse import urlsplit

from cds_hooks.tools.kit.contract.assertions import expect, in_row_of_field
from cds_hooks.tools.kit.contract.checks.feedback import card_and_suggestion, feedback_item, observe_offered
from cds_hooks.tools.kit.contract.checks.tokens import expect_of_token
from cds_hooks.tools.kit.contract.connection import JSON, Purpose
from cds_hooks.tools.kit.contract.definitions import read_table
from cds_hooks.tools.kit.contract.document import Node, NotTested, Subject, observe
from cds_hooks.tools.kit.contract.registry import Faults, add_check
from cds_hooks.tools.kit.contract.target import DISCOVERY, Service, Target

_Row = dict[str, str]
_OF_PATIENT: Final = "HK-patient-view-patientId"


def _tried(service: Service, row: _Row) -> Faults:
    broken = row["expected"].endswith("refused")
    if row["sends"].startswith("feedback"):
        observe_offered(service)
        exchange = service.feedback(_feedback(service, row), row["title"], broken=broken)
        yield from expect("refused" if broken else "success", exchange)
    elif row["sends"] == "token":
        changes = json.loads(_filled(row["with"] or "{}", _addresses(service)))
        claims = {name: _moment(value) for name, value in changes.get("claims", {}).items()}
        without = [row["without"]] if row["without"] else []
        header, expected = changes.get("header", {}), "unauthorized" if broken else "answered"
        yield from expect_of_token(expected, service, row["title"], claims=claims, header=header, without=without)
    else:
        sent = {"prefetch": _prefetched, "body": _bodies, "drafts": _drafted}.get(row["sends"], _called)
        headers = json.loads(row["headers"] or "{}")
        kind, _, hook = row["sends"].partition(" of ")
        observe(hook in ("", service.hook), f"this is about {hook}, not {service.hook}")
        is_call = kind in ("call", "prefetch", "drafts")
        for title, content in sent(service, row):
            send = service.send if is_call else service.send_as_is
            yield from expect(row["expected"], send(content, title, broken=broken, headers=headers))


def _requested(target: Target, row: _Row) -> Faults:
    """Send a request by its method to discovery, a service, or below the address of one that is not listed."""
    target.observe_discovery()
    method, where, *below = row["sends"].split()
    paths = {"discovery": DISCOVERY, "unknown": f"{DISCOVERY}/contract-kit-no-such-service"}
    if where != "discovery":
        service = target.any_service
        paths["service"] = service.path
        if below:
            observe_offered(service)
        row = row | {"with": _filled(row["with"], {"hook": service.hook})}
    path, purpose = "/".join([paths[where], *below]), Purpose.CALL if where == "unknown" else Purpose.OTHER
    broken, content = row["expected"] == "refused", row["with"].encode() or None
    send = target.connection.send
    exchange = send(method, path, row["title"], content=content, headers=JSON, purpose=purpose, broken=broken)
    yield from expect(row["expected"], exchange)


def _addresses(service: Service) -> dict[str, str]:
    base = service.connection.base
    parts = urlsplit(base)
    addresses = {"url": service.url, "path": service.path, "discovery": f"{base}{DISCOVERY}"}
    return addresses | {"origin": f"{parts.scheme}://{parts.netloc}", "host": parts.netloc}


def _moment(value: Any) -> Any:
    if isinstance(value, int):
        return int(time()) + value
    return str(int(time()) + int(value)) if isinstance(value, str) and value.isdecimal() else value


def _called(service: Service, row: _Row) -> Iterator[tuple[str, Any]]:
    request = service.request()
    context = request["context"]
    parts = {
        "patient": context["patientId"],
        "selections": json.dumps(context.get("selections"))[1:-1],
        "again": service.base.sent["hookInstance"],
        "UPPER": request["hookInstance"].upper(),
    }
    yield row["title"], _changed(request, row | {"with": _filled(row["with"], parts)})


def _bodies(service: Service, row: _Row) -> Iterator[tuple[str, Any]]:
    text = json.dumps(_changed(service.request(), row | {"with": ""}))
    parts = {"request": text, "open": text[:-1], "inner": text[1:], "half": text[: len(text) // 2]}
    yield f"body is {row['title']}", _filled(row["with"], parts | {"hook": service.hook}).encode("latin-1")


def _filled(text: str, parts: Mapping[str, str]) -> str:
    """Return the text with each of the parts in place of its name in braces."""
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _drafted(service: Service, row: _Row) -> Iterator[tuple[str, Any]]:
    request = service.request()
    context = request["context"]
    drafts = context.get("draftOrders") if service.hook in ("order-select", "order-sign") else None
    if not isinstance(drafts, dict):
        raise NotTested(f"{service.hook} has no draftOrders")
    entries = [json.dumps(entry) for entry in drafts["entry"]]
    order = json.loads(entries[0])["resource"]
    draft = json.dumps({name: value for name, value in order.items() if name not in row["without"].split()})
    parts = {"draft": draft, "open": draft[:-1], "entries": ", ".join(entries), "patient": context["patientId"]}
    bundle = json.loads(_filled(row["with"], parts | {"today": service.as_of.date().isoformat()}))
    filled = bundle.get("entry")
    resource: dict[str, Any] = filled[0]["resource"] if isinstance(filled, list) and filled else {}
    if "selections" in context and "id" in resource:
        context["selections"] = [f"{resource['resourceType']}/{resource['id']}"]
    context["draftOrders"] = bundle
    yield row["title"], request


def _feedback(service: Service, row: _Row) -> Any:
    item = feedback_item(service)
    if row["sends"] == "feedback":
        return {"feedback": [_changed(item, row)]}
    card, suggestion = card_and_suggestion(service)
    text = json.dumps(item)
    return _filled(row["with"], {"item": text, "open": text[:-1], "card": card, "suggestion": suggestion}).encode()


def _prefetched(service: Service, row: _Row) -> Iterator[tuple[str, Any]]:
    """Yield a call for each of the keys with another value; for `all` one in which every key has it."""
    prefetch, searches = service.prefetch(), service.search_keys()
    patients = [key for key, value in prefetch.items() if Node(value).text("resourceType") == "Patient"]
    one_by_one = [[key] for key in prefetch]
    groups = {
        "all": [list(prefetch)],
        "each": one_by_one,
        "first": one_by_one[:1],
        "patient": [[key] for key in patients],
        "but patient": [[key] for key in prefetch if key not in patients],
        "searches": [[key] for key in searches],
    }[row["without"]]
    observe(row["without"] != "patient" or groups, f"{service.id} does not ask for the Patient")
    for keys in groups:
        changed = {key: _value(prefetch[key], row["with"]) for key in keys} if row["with"] else {}
        kept = {key: value for key, value in prefetch.items() if key not in keys}
        name = "every prefetch value" if row["without"] == "all" else f"prefetch.{keys[0]}"
        yield f"{name} {row['title']}", service.request() | {"prefetch": kept | changed}


def _value(before: Any, text: str) -> Any:
    return before | json.loads(text[1:]) if text.startswith("+") else json.loads(text)


def _changed(document: dict[str, Any], row: _Row) -> dict[str, Any]:
    document.pop(row["without"], None)
    return _merged(document, json.loads(row["with"] or "{}"))


def _merged(document: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    """Return the document with these members, those of an object in it beside its own."""
    both = {name: document.get(name) for name, value in members.items() if isinstance(value, dict)}
    inner = {name: _merged(value, members[name]) for name, value in both.items() if isinstance(value, dict)}
    return document | members | inner


def _register(tries: Sequence[_Row]) -> None:
    def check(service: Service) -> Faults:
        for row in tries:
            faults = _tried(service, row)
            yield from in_row_of_field(service, "patientId", faults) if _OF_PATIENT in first_rows else faults

    def check_requests(target: Target) -> Faults:
        for row in tries:
            yield from _requested(target, row)

    first_rows = tries[0]["rows"].split()[:1]
    if tries[0]["sends"][0].isupper():
        add_check(tries[0], Subject.SERVER, check_requests)
    else:
        add_check(tries[0], Subject.SERVICE, check)


for _, _tries in groupby(read_table("tries.csv"), key=lambda row: row["check"]):
    _register(list(_tries))
