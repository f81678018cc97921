"""Checks that send one changed call, token or feedback item and say if it is answered or refused (`tries.csv`).

A row is one try: what is sent (a call in the dialect's shape or as it is, a feedback item), the member that is left
out, and the members that are put in, as JSON. Of a token these are claims and header; a number is seconds from
now, and digits as text are that moment as text. The rows of one check stand together; its advice is in the first.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from time import time
from typing import Any

from cds_hooks.tools.kit.contract.assertions import expect_cards, expect_refusal
from cds_hooks.tools.kit.contract.checks.authentication import expect_token_accepted, expect_token_refused
from cds_hooks.tools.kit.contract.checks.feedback import (
    expect_feedback_accepted,
    expect_feedback_refused,
    feedback_item,
)
from cds_hooks.tools.kit.contract.definitions import read_table
from cds_hooks.tools.kit.contract.document import MUST, SHOULD, Level
from cds_hooks.tools.kit.contract.registry import Faults, check_service
from cds_hooks.tools.kit.contract.target import Service

_Row = dict[str, str]


def _tried(service: Service, row: _Row) -> Faults:
    broken = row["expected"] == "refused"
    if row["sends"] == "feedback":
        expect = expect_feedback_refused if broken else expect_feedback_accepted
        yield from expect(service, {"feedback": [_changed(feedback_item(service), row)]}, row["title"])
        return
    if row["sends"] == "token":
        expect_of_token = expect_token_refused if broken else expect_token_accepted
        changes = json.loads(row["with"] or "{}")
        claims = {name: _moment(value) for name, value in changes.get("claims", {}).items()}
        without = [row["without"]] if row["without"] else []
        yield from expect_of_token(
            service, row["title"], claims=claims, header=changes.get("header", {}), without=without
        )
        return
    send = service.send_as_is if row["sends"] == "as is" else service.send
    exchange = send(_changed(service.request(), row), row["title"], broken=broken)
    yield from expect_refusal(exchange) if broken else expect_cards(exchange)


def _moment(value: Any) -> Any:
    if isinstance(value, int):
        return int(time()) + value
    return str(int(time()) + int(value)) if isinstance(value, str) and value.isdecimal() else value


def _changed(document: dict[str, Any], row: _Row) -> dict[str, Any]:
    document.pop(row["without"], None)
    return _merged(document, json.loads(row["with"] or "{}"))


def _merged(document: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    """Return the document with these members, those of an object in it beside its own."""
    both = {name: document.get(name) for name, value in members.items() if isinstance(value, dict)}
    inner = {name: _merged(value, members[name]) for name, value in both.items() if isinstance(value, dict)}
    return document | members | inner


def _register(name: str, tries: Sequence[_Row]) -> None:
    def check(service: Service) -> Faults:
        for row in tries:
            yield from _tried(service, row)

    first = tries[0]
    check.__name__, check.__doc__ = name, first["advice"]
    level: Level = SHOULD if first["level"] == "should" else MUST
    check_service(*first["rows"].split(), level=level, dialect=first["dialect"])(check)


for _name, _tries in groupby(read_table("tries.csv"), key=lambda row: row["check"]):
    _register(_name, list(_tries))
