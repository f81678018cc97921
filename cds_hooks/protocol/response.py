"""The answer to a hook call: cards, and what we say beyond the protocol in our extension."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cards.card import Card
from cards.rules.finding import Silence

EXTENSION = "org.cds-hooks-onnx"

_encoder = msgspec.json.Encoder()


def encode_response(
    cards: Sequence[Card | dict[str, Any]],
    decision_id: str,
    silences: Sequence[Silence],
    timings: dict[str, float] | None,
) -> bytes:
    """The response body (CDS Hooks 2.0.1): `cards` is always there, `extension` holds decision and silences."""
    ours: dict[str, Any] = {"decision": decision_id}
    if silences:
        ours["silence"] = [{"subject": s.subject, "reason": s.reason, "text": s.text} for s in silences]
    if timings is not None:
        ours["timings"] = timings
    return _encoder.encode({"cards": cards, "extension": {EXTENSION: ours}})
