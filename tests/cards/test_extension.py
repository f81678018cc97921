"""The extension is one struct under one key; what is on the wire is what the struct holds."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from cards.card import Card, Source
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference, ResponseExtension
from cds_hooks.kit.simulator.request import EXTENSION_KEY as KIT_KEY
from tests.conftest import ROOT

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


def test_a_card_without_our_extension_says_nothing_of_ours() -> None:
    card = Card(uuid="1", summary="s", indicator="info", source=Source(label="l"), extension={"com.other": {"a": 1}})
    assert card.own_extension == CardExtension()


def test_an_extension_that_is_not_ours_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        _ = _card({"findings": "none"}).own_extension


def test_nothing_empty_is_sent() -> None:
    assert msgspec.json.encode(CardExtension()) == b"{}"
    assert msgspec.json.encode(ResponseExtension(decision="1")) == b'{"decision":"1"}'
    assert set(json.loads(msgspec.json.encode(SAID))) == {"findings", "facts"}


def test_the_key_is_written_once_for_the_server_and_once_for_the_kit() -> None:
    written = re.compile(re.escape(f'"{EXTENSION_KEY}"'))
    found = [
        str(path.relative_to(ROOT))
        for floor in ("cds_hooks", "cards", "models_onnx", "fhir")
        for path in sorted(Path(ROOT / floor).rglob("*.py"))
        if written.search(path.read_text(encoding="utf-8"))
    ]
    # The kit imports nothing of the server: it writes the key down once more.
    assert found == ["cds_hooks/kit/simulator/request.py", "cards/extension.py"]
    assert KIT_KEY == EXTENSION_KEY
