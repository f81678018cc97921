"""The assertions that checks share, each on what it accepts and what it refuses."""

import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cds_hooks.kit.contract import assertions
from cds_hooks.kit.contract.document import Fault, Node, Subject
from tests.cds_hooks.kit.contract.findings import FINDINGS, all_findings, findings, good_response
from tests.cds_hooks.kit.contract.good_server import GoodServer


def _said(faults: Iterable[Fault]) -> list[tuple[str, str]]:
    return [(fault.message, fault.location) for fault in faults]


def test_members_that_are_missing_or_of_another_type() -> None:
    node = Node({"text": "t", "null": None, "number": 1.5, "yes": True, "list": [{}, 1], "object": {}})
    for name in ("text", "null", "number", "yes", "list", "object", "gone"):
        assert _said(assertions.required(node, name)) == REQUIRED[name]
    assert _said(assertions.optional(node, "null")) == _said(assertions.optional(node, "gone")) == []
    assert _said(assertions.optional(node, "text", "array")) == [("text is a string, not an array", "text")]
    assert _said(assertions.optional(node, "list", "object")) == [("list is an array, not an object", "list")]
    assert _said(assertions.optional(node, "number", "boolean")) == [("number is a number, not a boolean", "number")]
    assert _said(assertions.array_of_objects(node, "list")) == [("item is a number, not an object", "list[1]")]
    assert _said(assertions.array_of_objects(node, "text")) == [("text is a string, not an array", "text")]
    assert _said(assertions.one_of(node, "text", ("a", "b"))) == [("text is 't'", "text")]
    assert _said(assertions.one_of(node, "text", ("t",))) == _said(assertions.one_of(node, "null", ())) == []


REQUIRED: dict[str, list[tuple[str, str]]] = {
    "text": [], "null": [("null is missing", "null")], "gone": [("gone is missing", "gone")],
    "number": [("number is a number, not a string", "number")], "yes": [("yes is a boolean, not a string", "yes")],
    "list": [("list is an array, not a string", "list")], "object": [("object is an object, not a string", "object")],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "is_absolute"),
    [
        ("https://x/y", True),
        ("http://x", True),
        ("ftp://x", False),
        ("https:///y", False),
        ("https://x/a b", False),
        ("https://[", False),
        ("/y", False),
        ("javascript:alert(1)", False),
    ],
)
def test_absolute_addresses(text: str, is_absolute: bool) -> None:
    assert assertions.is_absolute_url(text) is is_absolute
    said = _said(assertions.absolute_url(Node({"url": text}), "url"))
    assert said == ([] if is_absolute else [(f"url is {text!r}", "url")])


def test_a_member_is_taken_out_of_a_request() -> None:
    assert assertions.without({"a": {"b": 1, "c": 2}}, ["a", "b"]) == {"a": {"c": 2}}
    assert assertions.without({"a": 1}, ["b"]) == {"a": 1}
    service = cast(Any, SimpleNamespace(hook="patient-view"))
    assert [fault.row for fault in assertions.in_row_of_field(service, "userId", iter([Fault("x")]))] == [
        "HK-patient-view-userId"
    ]


# What is found in a document with a fault, and how it is said, is what was written down and read.


def test_nothing_is_found_in_the_good_documents() -> None:
    for dialect in ("standard", "epic"):
        assert findings(Subject.RESPONSE, good_response(), dialect) == []
    assert findings(Subject.DISCOVERY, GoodServer()._services()) == []


def test_what_is_found_of_each_planted_fault_is_what_was_written_down() -> None:
    assert all_findings() == json.loads(FINDINGS.read_text(encoding="utf-8"))
