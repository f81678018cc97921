"""Earlier names and wrappers of the contexts of hooks, and the parts of a body that are read apart."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from cds_hooks.errors import BadRequest, TooDeep
from cds_hooks.protocol import body as bodies
from cds_hooks.protocol.body import (
    MemberName,
    check_head,
    check_text,
    check_whole,
    describe_decoder_error,
    error_path,
    members_once,
    split_off_prefetch,
)
from cds_hooks.protocol.hooks import LIBRARY
from cds_hooks.protocol.request import read_request, usable_server
from tests.each import for_rows


def modern(hook: str, **members: bytes) -> dict[str, bytes]:
    raws = {name.replace("_", "-"): Raw(value) for name, value in members.items()}
    return {name: bytes(raw) for name, raw in LIBRARY[hook].modernise(raws).items()}  # type: ignore[misc]


ALLERGY = b'{"resourceType":"AllergyIntolerance"}'


def _bundle(*entries: bytes) -> bytes:
    return b'{"resourceType":"Bundle","entry":[' + b",".join(entries) + b"]}"


WRAPPED = b'{"resource":' + ALLERGY + b"}"


@for_rows(
    ("members", "expected"),
    [
        ({"allergyIntolerance": ALLERGY}, ALLERGY),
        ({"allergyIntolerance": WRAPPED}, ALLERGY),
        ({"allergyIntolerance": b"5"}, b"5"),
        ({"allergyIntolerance": b'{"resourceType":"X","resource":{}}'}, b'{"resourceType":"X","resource":{}}'),
        ({"allergyIntolerance": b"{}"}, b"{}"),
        ({"allergyIntolerances": _bundle(WRAPPED)}, ALLERGY),
        ({"allergyIntolerances": _bundle(WRAPPED, WRAPPED)}, None),
        ({"allergyIntolerances": _bundle(b"{}")}, None),
        ({"allergyIntolerances": _bundle(b"{}", WRAPPED)}, ALLERGY),
        ({"allergyIntolerances": b"5"}, None),
        ({"allergyIntolerances": b"{}"}, None),
        ({"allergyIntolerances": _bundle(WRAPPED), "allergyIntolerance": b'{"resourceType":"Y"}'},
         b'{"resourceType":"Y"}'),
    ],
)  # fmt: skip
def test_an_allergy_is_taken_out_of_what_is_around_it(members: Any, expected: bytes | None) -> None:
    assert modern("allergyintolerance-create", **members).get("allergyIntolerance") == expected


def test_a_medication_to_verify_was_called_an_order() -> None:
    assert modern("medication-verify", order=WRAPPED) == {"medication": ALLERGY}
    assert modern("medication-verify", order=WRAPPED, medication=b'{"resourceType":"Z"}') == {
        "medication": b'{"resourceType":"Z"}'
    }


def test_the_hooks_of_the_library_have_their_versions() -> None:
    assert {name: hook.version for name, hook in LIBRARY.items()} == {
        "patient-view": "1.0", "order-select": "1.0", "order-sign": "1.0", "order-dispatch": "1.1",
        "encounter-start": "1.0", "encounter-discharge": "1.0", "appointment-book": "1.0",
        "allergyintolerance-create": "0.1.0", "problem-list-item-create": "0.1.0", "medication-refill": "0.1.0",
        "medication-verify": "0.1.0",
    }  # fmt: skip


# A body


@for_rows(
    ("body", "parts"),
    [
        (b'{"a":1,"prefetch":{"b":2}}', (b'{"a":1}', b'{"b":2}')),
        (b'{"a":1 , "prefetch" : {"b":2}}\n', (b'{"a":1 }', b'{"b":2}')),
        (b'{"prefetch":{"b":2}}', (b"{}", b'{"b":2}')),
        (b'{ "prefetch":{"b":2}}', (b"{}", b'{"b":2}')),
        (b'{"a":1 "prefetch":{"b":2}}', None),
        (b'{"a":1}', None),
        (b'{"a":1,"prefetch":{"b":2}', (b'{"a":1}', b'{"b":2')),
        (b'{"a":1,"prefetch":[]', None),
        (b"", None),
    ],
)
def test_a_prefetch_at_the_end_is_split_off(body: bytes, parts: tuple[bytes, bytes] | None) -> None:
    found = split_off_prefetch(body)
    assert (found is None) is (parts is None)
    if found is not None:
        assert (found[0], bytes(found[1])) == parts


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_a_body_is_utf_8_without_a_mark(mark: bytes) -> None:
    check_text(b"{}")
    check_text("é".encode())
    with pytest.raises(BadRequest) as refused:
        check_text(mark + b"{}")
    assert refused.value.text == "The body starts with a byte order mark. Send UTF-8 without one."
    with pytest.raises(BadRequest) as refused:
        check_text(b"ab\xff")
    assert refused.value.text == "The body is not UTF-8 (byte 2)."


TWICE = r"(?i)twice"


def test_a_member_that_stands_twice_is_refused_wherever_it_stands() -> None:
    check_head(b'{"a":{"b":1},"context":{"c":[{"d":1},{"d":2}]}}')
    check_whole(b'{"a":{"b":1},"prefetch":{"c":1}}')
    for head in (b'{"a":1,"a":2}', b'{"prefetch":{}}', b'{"context":{"c":1,"c":2}}', b'{"x":[{"c":1,"c":2}]}'):
        with pytest.raises(BadRequest, match=TWICE):
            check_head(head)
    for body in (b'{"a":1,"a":2}', b'{"prefetch":{"k":[{"c":1,"c":2}]}}', b'{"x":[{"c":1,"c":2}],"prefetch":null}'):
        with pytest.raises(BadRequest, match=TWICE):
            check_whole(body)
    with pytest.raises(TooDeep, match=r"^The body is nested deeper than any FHIR resource; nothing was read\.$"):
        bodies.check_depth(b'{"a":1,"b":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None)
    with pytest.raises(BadRequest, match=r"^A string holds the character U\+0000, which no string of FHIR may hold\.$"):
        check_head(b'{"a":"\\u0000"}')
    check_head(b'{"a":"\\\\u0000"}')
    assert members_once({MemberName("a"): 1, MemberName("b"): 2}, None) == {"a": 1, "b": 2}
    with pytest.raises(BadRequest, match=TWICE):
        members_once({MemberName("a"): 1, MemberName("a"): 2}, None)


@for_rows(
    ("error", "text", "path"),
    [
        (msgspec.ValidationError("Expected `str`, got `int` - at `$.context.patientId`"),
         "Expected str, got int - at context.patientId", "context.patientId"),
        (msgspec.ValidationError("Invalid enum value 'Ann Smith' - at `$.hook`"),
         "Invalid enum value - at hook", "hook"),
        (msgspec.DecodeError("JSON is malformed: invalid character (byte 3)"), "invalid character (byte 3)", None),
        (msgspec.ValidationError("Expected `object`, got `array`"), "Expected object, got array", None),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "a string is not UTF-8", None),
    ],
)  # fmt: skip
def test_a_decoders_sentence_repeats_nothing_of_the_body(error: Exception, text: str, path: str | None) -> None:
    assert describe_decoder_error(error) == text
    assert error_path(error) == path
    assert error_path(error, "feedback") == (f"feedback.{path}" if path else "feedback")


@for_rows(
    ("address", "is_used"),
    [
        (None, True), ("", True), (" ", True), ("https://x", True), ("HTTP://x", True), ("file:///x", None),
        ("//x", None), ("urn:x", None), ("x.example/fhir", False), ("/fhir", False),
    ],
)  # fmt: skip
def test_a_server_is_an_address_of_the_web(address: str | None, is_used: bool | None) -> None:
    if is_used is None:
        with pytest.raises(BadRequest) as refused:
            usable_server(address)
        text = "fhirServer is not an http or https URL; nothing was read from it."
        assert (refused.value.text, refused.value.expression) == (text, "fhirServer")
        return
    found, refusal = usable_server(address)
    assert found == (address if is_used else None)
    assert (refusal is None) is is_used
    if refusal is not None:
        assert (refusal.subject, refusal.reason, refusal.text) == (
            "fhirServer", "malformed", "fhirServer is no http or https address: nothing was read from it.",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "begins"),
    [
        (b"{", BadRequest, "The body is not valid JSON ("),
        (b'{"hook":5}', BadRequest, "The body is not a CDS Hooks request: Expected str, got int - at hook"),
        (b'{"hook":"patient-view","context":' + b"[" * 100_000, BadRequest, "The body is n"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_words(body: bytes, kind: type[BadRequest], begins: str) -> None:
    with pytest.raises(kind) as refused:
        read_request(body, LIBRARY)
    assert refused.value.text.startswith(begins)
