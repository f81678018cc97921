"""Checks on the bytes of a request body before it is decoded.

JSON in which a member stands twice is read differently by different readers: a check of one reading proves nothing
about the other. The decoders here do not report it (the last one wins). A pass in C clears the text (`_members.c`:
0.05 ms for 57 KB); what it does not clear is read once more by Python's decoder, which shows each object.

Encodes the answer to a hook call: its cards, each of them checked, and our extension.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import orjson
from msgspec import Raw

from cards.card import Action, Card, check_action, check_card
from cards.extension import EXTENSION_KEY, VERSION, ResponseExtension, WorklistEntry
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from fhir.record.datatypes import write_decimal
from fhir.record.refusals import WhyNot

SCANS_IN_C = True
"""Whether the pass in C was built here."""
Read: TypeAlias = Callable[[str], Any]

try:
    from cds_hooks.call.protocol._members import has_unique_members as has_unique_members
except ImportError:  # an install without a compiler
    SCANS_IN_C = False

    def has_unique_members(text: bytes | memoryview, /) -> bool:
        """Return whether no member can stand twice because a decoder gives back every byte, if there are no blanks."""
        try:
            return orjson.dumps(orjson.loads(text)) == text
        except orjson.JSONDecodeError:  # half a surrogate, which other decoders take
            return False


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
_NUMBERS: Final = bytes.maketrans(b"123456789E]} \n\t\r", b"000000000e,,,,,,")
_NINETEEN_DIGITS: Final = b"0" * 19
_EXPONENT: Final = re.compile(rb"0e\+?000+,")  # a UUID may hold 4e123, but nothing of a number's end behind it
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])


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


def split_off_prefetch(body: bytes) -> tuple[bytes, bytes] | None:
    """Return the body with 0 as its prefetch, and the prefetch, where that seems to be its last member.

    It is where both parts are JSON. Looking for the end of the prefetch takes a third as long as reading it.
    """
    body = body.rstrip()
    name = _PREFETCH.search(body) if body.endswith(b"}") else None
    return (body[: name.end()] + b"0}", body[name.end() : -1]) if name is not None else None


def without_prefetch(body: bytes, prefetch: bytes) -> bytes:
    """Return the body with 0 as the value of `prefetch`, found behind its name: `replace` takes 2 ms for 683 KB."""
    for name in _PREFETCH.finditer(body):
        if body.startswith(prefetch, name.end()):
            return body[: name.end()] + b"0" + body[name.end() + len(prefetch) :]
    return body


def check_head(head: bytes) -> None:
    """BadRequest where a member stands twice in a body without its prefetch, a number is beyond 64 bits, or U+0000.

    Readers would give a draft back with a rounded number.

    Raises:
        msgspec.DecodeError: It is not a JSON object.
    """
    if b"\\u0000" in head and _NUL.search(head):
        raise BadRequest(
            "A string of the body holds the character U+0000, which FHIR does not allow. Nothing of the body was used."
        )
    numbers = head.translate(_NUMBERS)
    has_large_number = _NINETEEN_DIGITS in numbers or _EXPONENT.search(numbers)
    if has_unique_members(head) and not has_large_number:
        return
    context = _MEMBERS.decode(head).get("context", Raw(b"null"))
    for part, location in ((bytes(context), "context"), (head, None)):
        _refuse_repeated(part, location, _whole_number, _number)


def check_depth(text: bytes | memoryview, location: str | None) -> None:
    """BadRequest where a member stands twice at any depth of this JSON, which two readers would read differently."""
    if not has_unique_members(text):
        _refuse_repeated(bytes(text), location)


def _refuse_repeated(text: bytes, location: str | None, read_integer: Read = str, read_fraction: Read = str) -> None:
    """Read the text with these readers of numbers; other threads run meanwhile, because each object is looked at."""

    def look_at(members: list[tuple[str, Any]]) -> None:
        if len(dict(members)) < len(members):
            raise _twice(location, (name for name, _ in members))

    try:
        json.loads(text, object_pairs_hook=look_at, parse_int=read_integer, parse_float=read_fraction)
    except RecursionError as error:
        raise TooDeep("The body is nested deeper than any FHIR resource; nothing was read.") from error


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
