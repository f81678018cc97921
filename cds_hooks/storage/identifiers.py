"""Ids of decisions, cards and suggestions: one UUID each, and the later two lead back to the first.

A decision's id is a UUID version 7 (RFC 9562): 48 bits of milliseconds and 12 bits of their fraction, which never go
back within a process, then 46 random bits and 16 bits of zero. A card's uuid puts the card's number, from 1, into the
last byte but one; a suggestion's uuid puts its own number, from 1, into the last byte. So a card that comes back in
feedback names its decision without a table of cards, which would cost one more row for every card on every call.
"""

import os
import time

_VERSION = 7 << 76
_VARIANT = 2 << 62
_LARGEST = 255
_ROUNDS = 8
_PARTS = 16

_last_tick = 0


def new_decision_id() -> str:
    """A UUID in lower case; text order is the order of making within a process, and of the clock between processes."""
    global _last_tick
    # 1 tick = 1 ms / 4096, the fraction RFC 9562 section 6.2 method 3 puts behind the milliseconds
    tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    _last_tick = tick
    random = int.from_bytes(os.urandom(6), "big") & 0x3FFF_FFFF_FFFF
    return _text((tick >> 12) << 80 | _VERSION | (tick & 0xFFF) << 64 | _VARIANT | random << 16)


def card_uuid(decision_id: str, card: int) -> str:
    """The uuid of a decision's card, the first being 1; ValueError beyond 255."""
    return decision_id[:-4] + _byte(card) + "00"


def suggestion_uuid(card: str, suggestion: int) -> str:
    """The uuid of a card's suggestion, the first being 1; ValueError beyond 255."""
    return card[:-2] + _byte(suggestion)


def numbered_uuid(decision_id: str, number: int) -> str:
    """The uuid of the n-th thing that a decision names, cards, suggestions and new orders counted through from 1.

    Up to 255 they are `card_uuid`; then the last byte counts on, below 8, which leaves room for the parts of what a
    dialect takes apart (`part_uuid`). ValueError beyond 2,040.
    """
    rounds, position = divmod(number - 1, _LARGEST)
    if not 0 <= rounds < _ROUNDS:
        raise ValueError(f"a decision names up to {_LARGEST * _ROUNDS} things, not {number}")
    return decision_id[:-4] + _byte(position + 1) + f"{rounds:02x}"


def part_uuid(uuid: str, part: int) -> str:
    """The uuid of a part, from 0 to 15, of what `numbered_uuid` or `card_uuid` named; like no other of the decision."""
    if not 0 <= part < _PARTS:
        raise ValueError(f"what is named has up to {_PARTS} parts, not {part + 1}")
    return uuid[:-2] + _byte(128 + int(uuid[-2:], 16) % _ROUNDS * _PARTS + part)


def decision_of(uuid: str) -> str | None:
    """The id of the decision that a card's or suggestion's uuid came from; None for one that cannot be ours."""
    text = uuid.strip().lower().removeprefix("urn:uuid:")
    if len(text) != 36 or text[14] != "7" or any(text[at] != "-" for at in (8, 13, 18, 23)):
        return None
    return text[:-4] + "0000"


def _text(value: int) -> str:
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _byte(number: int) -> str:
    if not 1 <= number <= _LARGEST:
        raise ValueError(f"a decision has cards, and a card suggestions, 1 to {_LARGEST}, not {number}")
    return f"{number:02x}"
