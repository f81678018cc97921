"""The extension is one struct under one key; what is on the wire is what the struct holds."""

import msgspec
import pytest

from cards.card import Card, Source
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference

SAID = CardExtension(
    findings=(FindingReference("renal-metformin", "lt30"),),
    facts=(Fact("egfr", "eGFR 25", 25.0, source="Observation/1"),),
)


def _card(extension: object) -> Card:
    return Card(
        uuid="1",
        summary="eGFR 25",
        indicator="warning",
        source=Source(label="KDIGO"),
        extension={EXTENSION_KEY: extension},
    )


def test_a_card_gives_its_extension_as_the_struct_before_and_after_the_wire() -> None:
    card = _card(SAID)
    assert card.own_extension is SAID
    received = msgspec.json.decode(msgspec.json.encode(card), type=Card)
    assert received.own_extension == SAID


def test_an_extension_that_is_not_ours_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        _ = _card({"findings": "none"}).own_extension
