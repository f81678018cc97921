"""Encodes the answer to a hook call: its cards, each of them checked, and our extension."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cards.card import Card, check_card
from cards.extension import EXTENSION_KEY, ResponseExtension, RestingFinding, WorklistEntry
from cards.rules.engine.finding import Silence
from fhir.record.datatypes import write_decimal

_encoder = msgspec.json.Encoder(enc_hook=write_decimal)


def encode_response(
    cards: Sequence[Card | dict[str, Any]],
    decision_id: str,
    silences: Sequence[Silence],
    timings: dict[str, float] | None,
    resting: Sequence[RestingFinding] = (),
    worklist: Sequence[WorklistEntry] = (),
) -> bytes:
    """The response body (CDS Hooks 2.0.1): `cards` is always there, `extension` holds decision and silences.

    `resting` and `worklist` say in the extension what is there and not shown now.

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
        silence=tuple(silences),
        resting=tuple(resting),
        worklist=tuple(worklist),
        timings=timings,
    )
    return _encoder.encode({"cards": cards, "extension": {EXTENSION_KEY: ours}})
