"""Checks on the bytes of a request body before it is decoded.

JSON in which a member stands twice is read differently by different readers: a check of one reading proves nothing
about the other. The decoders here do not report it (the last one wins). In the head it is found by length, which costs
1 µs: the members written without spaces are as long as the text that they came from, or the text holds something more.
Elsewhere a pass in C clears the text (`_members.c`: 0.05 ms for 57 KB). Where that was not built, or does not clear it,
the members of the text are counted, and those that are left when it was decoded: 0.2 ms for 57 KB.

Encodes the answer to a hook call: its cards, each of them checked, and our extension.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import orjson
from msgspec import Raw

from cards.card import Action, Card, check_action, check_card
from cards.extension import EXTENSION_KEY, VERSION, ResponseExtension, WorklistEntry
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from fhir.record.datatypes import write_decimal
from fhir.record.refusals import WhyNot

try:
    from cds_hooks.call.protocol._members import has_unique_members as has_unique_members
except ImportError:  # an install without a compiler

    def has_unique_members(_text: bytes | memoryview, /) -> bool:
        """Return False, "not certain": every text is looked through in Python then."""
        return False


_T = TypeVar("_T")

SCANS_IN_C: Final = has_unique_members(b"{}")
"""Whether the pass in C was built here."""

MOST_LEVELS: Final = 64
"""An order is copied and validated member by member, which takes Python's stack; real ones are not 20 deep."""


_NESTING: Final = frozenset({dict, list})  # as JSON is decoded; `isinstance` of a union takes eight times as long


def may_be_deep(text: bytes) -> bool:
    """Return whether this JSON has so many objects and arrays that they could stand too deep; few orders have."""
    return text.count(b"{") + text.count(b"[") > MOST_LEVELS


def is_nested_deeper(value: Any, limit: int = MOST_LEVELS) -> bool:
    """Return whether objects and arrays stand more than `limit` levels inside each other."""
    level = [value] if type(value) in _NESTING else []
    for _ in range(limit):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _NESTING
        ]
        if not level:
            return False
    return True


_PREFETCH: Final = re.compile(rb'"prefetch"\s*:\s*')
_DIGITS: Final = bytes(b"0"[0] if chr(number).isdecimal() else b" "[0] for number in range(256))
_NINETEEN_DIGITS: Final = b"0" * 19
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_WORTH_CUTTING_OUT: Final = 1000


def check_text(body: bytes) -> None:
    """BadRequest where the body is not UTF-8, or starts with a byte order mark (RFC 8259, section 8.1)."""
    if body.isascii():
        return
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise BadRequest(
            "The body starts with a byte order mark; send UTF-8 without one. Nothing of the body was used."
        )
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body must be UTF-8; byte {error.start} is not. Nothing of the body was used.") from error


_DENSE_BYTES: Final = 1 << 20
_MOST_OBJECTS: Final = 400_000
_MOST_COMMAS: Final = 600_000


def check_density(body: bytes) -> None:
    """PayloadTooLarge where a large body has more elements than FHIR of that size.

    Decoding five million empty objects holds the interpreter for 2 s. The densest chart of 17.7 MB (MIMIC-IV demo) has
    310,000 objects and lists, and 356,000 commas.
    """
    if len(body) < _DENSE_BYTES:
        return
    objects, lists, commas = (count_sign(body, sign) for sign in (b"{", b"[", b","))
    if objects + lists > _MOST_OBJECTS or commas > _MOST_COMMAS:
        raise PayloadTooLarge("The body has more elements than any chart of its size; nothing was read.")


def count_sign(text: bytes, sign: bytes) -> int:
    """Return how often one byte stands there: a tenth of the time of `bytes.count` where it stands often."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(sign)))


def split_off_prefetch(body: bytes) -> tuple[bytes, memoryview] | None:
    """Return the body without its last member, and that member's value; None unless the last member is `prefetch`.

    Where both parts are JSON, the first an object, they are the body and nothing of it is missing.
    """
    start = body.find(b'"prefetch"') - 1
    if body.startswith(b',"prefetch":', max(start, 0)) and body[-1:] == b"}":  # what follows is for any spelling
        return body[:start] + b"}", memoryview(body)[start + 12 : -1]
    match = _PREFETCH.search(body)
    body = body.rstrip()
    if match is None or not body.endswith(b"}"):
        return None
    head = body[: match.start()].rstrip()
    if head.endswith(b","):
        head = head[:-1]
    elif head.strip() != b"{":
        return None
    return head + b"}", memoryview(body)[match.end() : -1]


def check_head(head: bytes) -> None:
    """BadRequest where a member stands twice in the head or its context, an integer is beyond 64 bits, or U+0000.

    Raises what msgspec raises where the head is not a JSON object or its context none. An integer is looked for because
    readers give a draft back with a rounded one; a number beyond a double is refused by whoever reads it.
    """
    members = _MEMBERS.decode(head)
    if "prefetch" in members:
        raise _twice(None, ("prefetch", "prefetch"))
    _check_characters(head)
    context = members.get("context")
    once = _has_no_more(head, members) and (context is None or _has_no_more(context, _MEMBERS.decode(context)))
    if not once or _NINETEEN_DIGITS in head.translate(_DIGITS):
        _check_slowly(head)
    check_depth(head, None)


def check_whole(body: bytes) -> None:
    """Check a body that is JSON and cannot be split; what is in `prefetch` is not looked at."""
    prefetch = _MEMBERS.decode(body).get("prefetch")
    if prefetch is not None:
        check_depth(prefetch, "prefetch")
    if prefetch is not None and len(prefetch) > _WORTH_CUTTING_OUT:
        body = _without(body, bytes(prefetch))
    _check_characters(body)
    _check_slowly(body)
    check_depth(body, None)


_LARGE_TEXT: Final = 1 << 20
_MOST_LISTS: Final = 4  # key of prefetch, `entry`, item; deeper lists are decoded whole, or each level costs a scan
_COLON_APART: Final = re.compile(rb'"[ \t\r\n]+:')
_ENTRIES: Final = msgspec.json.Decoder(list[Raw])


def check_depth(text: bytes | memoryview, location: str | None, levels: int = _MOST_LISTS) -> None:
    """BadRequest where a member stands twice at any depth of this JSON, which two readers would read differently.

    In Python a long text is read in parts, at most `levels` deep: decoding it whole would hold the interpreter.
    """
    if has_unique_members(text):
        return
    text = bytes(text)
    if len(text) < _LARGE_TEXT or not levels:
        if _may_repeat(text):
            _refuse_repeated(text, location)
        return
    try:
        values: Iterable[Raw] = members_once(_KEYED.decode(text) or {}, location).values()
    except msgspec.ValidationError:  # no object
        values = _ENTRIES.decode(text) if text.lstrip()[:1] == b"[" else ()
    for part in _parts(values):
        check_depth(part, location, levels - 1)


def _parts(values: Iterable[Raw]) -> Iterator[bytes | memoryview]:
    """Return the values, the small ones together in lists that are not large."""
    together: list[memoryview] = []
    size = 0
    for raw in values:
        value = memoryview(raw)
        if len(value) >= _LARGE_TEXT // 2:
            yield value
            continue
        if size + len(value) > _LARGE_TEXT // 2:
            yield b"[" + b",".join(together) + b"]"
            together, size = [], 0
        together.append(value)
        size += len(value) + 1
    if together:
        yield b"[" + b",".join(together) + b"]"


def _may_repeat(text: bytes) -> bool:
    """Return whether a member may stand twice: fewer are left when it was decoded, or they cannot be counted.

    Text without blanks mostly comes out of the decoder as it went in: counting is left out, 190 µs in place of 270 for
    57 KB (`python -m timeit`).
    """
    try:
        encoded = orjson.dumps(orjson.loads(text))
    except (orjson.JSONDecodeError, TypeError):
        return True  # half a surrogate, which other decoders take
    if encoded == text:
        return False
    is_apart = b" :" in text or any(sign in text and sign + b":" in text for sign in (b"\n", b"\t", b"\r"))
    if is_apart and _COLON_APART.search(text):
        return True
    if b"\\" not in text:
        return text.count(b'":') != encoded.count(b'":')
    if b'\\\\":' in text:
        return True  # a name that ends with a backslash looks like a quote within a string
    return _count_members(text) != _count_members(encoded)


def _count_members(text: bytes) -> int:
    return text.count(b'":') - text.count(b'\\":')


def _refuse_repeated(text: bytes, location: str | None) -> None:
    def look_at(members: list[tuple[str, Any]]) -> None:
        if len(dict(members)) < len(members):
            raise _twice(location, (name for name, _ in members))

    try:
        json.loads(text, object_pairs_hook=look_at)
    except RecursionError as error:
        raise TooDeep("The body is nested deeper than any FHIR resource; nothing was read.") from error


class MemberName:
    """The name of a member, equal to itself only: a dictionary that a decoder fills with these loses no doubled one."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def member_name(_: type, text: str) -> MemberName:
    """Return the `dec_hook` of a decoder whose dictionary has the keys `MemberName`."""
    return MemberName(text)


def members_once(members: dict[MemberName, _T], location: str | None) -> dict[str, _T]:
    """Return the members by their names; BadRequest at `place` where a name stands twice."""
    values_by_name = {name.text: value for name, value in members.items()}
    if len(values_by_name) < len(members):
        raise _twice(location, (name.text for name in members))
    return values_by_name


_KEYED: Final = msgspec.json.Decoder(dict[MemberName, Raw] | None, dec_hook=member_name)


def _without(body: bytes, prefetch: bytes) -> bytes:
    """Return the body with 0 as the value of `prefetch`, found behind its name: `replace` takes 2 ms for 683 KB."""
    for name in _PREFETCH.finditer(body):
        if body.startswith(prefetch, name.end()):
            return body[: name.end()] + b"0" + body[name.end() + len(prefetch) :]
    return body


def _check_characters(text: bytes) -> None:
    if b"\\u0000" in text and _NUL.search(text):
        raise BadRequest(
            "A string of the body holds the character U+0000, which FHIR does not allow. Nothing of the body was used."
        )


def _has_no_more(text: bytes | Raw, members: dict[str, Raw]) -> bool:
    """Return whether the text is these members, colons, commas, quotes and braces, and not a byte more.

    Spaces, escapes and characters beyond ASCII make the text longer than that as well, never shorter.
    """
    return sum(map(len, members)) + sum(map(len, members.values())) + 4 * len(members) + 1 == len(text)


class _Object(list[tuple[str, Any]]):
    """The members of a JSON object as they stand."""


def _check_slowly(text: bytes) -> None:
    body = _DECODER.decode(text.decode())
    _refuse_doubled(body, None)
    for name, value in body:
        if name == "context" and isinstance(value, _Object):
            _refuse_doubled(value, "context")


def _refuse_doubled(members: _Object, location: str | None) -> None:
    if len(dict(members)) < len(members):
        raise _twice(location, (name for name, _ in members))


_NAMED: Final = frozenset(
    (
        *("hook", "hookInstance", "context", "fhirServer", "fhirAuthorization", "prefetch", "extension", "userId"),
        *("patientId", "encounterId", "draftOrders", "selections", "resourceType", "id", "feedback", "outcomes"),
    )
)
"""Names that are the standard's; another one may be a patient's, and is not repeated."""


def _twice(location: str | None, names: Iterable[str]) -> BadRequest:
    doubled = [f"`{name}`" for name, times in Counter(names).items() if times > 1 and name in _NAMED]
    return BadRequest(
        f"{doubled[0] if doubled else 'A member'} appears twice in {location or 'the body'}; send it once. Nothing of "
        "the body was used.",
        location,
    )


def _whole_number(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise BadRequest("A number in the body does not fit in 64 bits. Nothing of the body was used.")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise BadRequest("A number in the body does not fit in 64 bits. Nothing of the body was used.")
    return value


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_whole_number, parse_float=_number)

_encoder = msgspec.json.Encoder(enc_hook=write_decimal)


def encode_response(
    cards: Sequence[Card | dict[str, Any]],
    decision_id: str,
    silences: Sequence[WhyNot],
    timings: dict[str, float] | None,
    worklist: Sequence[WorklistEntry] = (),
    system_actions: Sequence[Action] = (),
    looked: str | None = None,
) -> bytes:
    """Return the response body (CDS Hooks 2.0.1): `cards` is always there, `extension` holds decision and silences.

    `worklist` says in the extension what is there and not shown now. `looked` says what was looked at; the
    extension of version 1 has None.

    Every card of every service is checked here, whoever built it. A card of an older version of the protocol comes as a
    dictionary and was checked before it was made one (`dialects`).

    Raises:
        CardError: A card breaks the specification; the call is then answered with an error and not with this card.
    """
    for card in cards:
        if isinstance(card, Card):
            check_card(card)
    ours = ResponseExtension(
        decision=decision_id,
        version=1 if looked is None else VERSION,
        looked=looked or "",
        silence=tuple(silences),
        worklist=tuple(worklist),
        timings=timings,
    )
    response: dict[str, Any] = {"cards": cards}
    if system_actions:  # left out where there is none: SYS-01
        response["systemActions"] = [check_action(action) for action in system_actions]
    return _encoder.encode({**response, "extension": {EXTENSION_KEY: ours}})
