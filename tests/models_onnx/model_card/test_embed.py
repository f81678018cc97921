"""The card is in the file: the onnx package reads it, the file without it is the same to the bit."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import checker, helper, load_from_string

from models_onnx.errors import CardIncomplete, UnsafeModel
from models_onnx.model_card import embed
from models_onnx.model_card.embed import KEY, core_digest, embed_card, read_card, without_card
from tests.conftest import examples
from tests.models_onnx.workshop import core


def test_the_onnx_package_finds_one_card_and_everything_else_as_it_was(card: dict[str, Any]) -> None:
    proto = load_from_string(embed_card(core(), card))
    checker.check_model(proto)
    cards = [entry.value for entry in proto.metadata_props if entry.key == KEY]
    assert [json.loads(text) for text in cards] == [card]
    before = load_from_string(core())
    assert proto.graph == before.graph
    assert len(proto.metadata_props) == len(before.metadata_props) + 1


def test_taking_the_card_out_gives_the_same_bytes(card: dict[str, Any]) -> None:
    whole = embed_card(core(), card)
    assert without_card(whole) == core()
    assert without_card(core()) is core() or without_card(core()) == core()
    assert core_digest(whole) == core_digest(core())


def test_another_card_takes_the_place_of_the_first(card: dict[str, Any]) -> None:
    twice = embed_card(embed_card(core(), {"first": 1}), card)
    assert read_card(twice) == card
    assert twice == embed_card(core(), card)


@settings(max_examples=examples(20))
@given(st.dictionaries(st.text(max_size=10), st.text(max_size=300), max_size=4))
def test_any_card_comes_back(said: dict[str, str]) -> None:
    assert read_card(embed_card(core(), said)) == said


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_card_that_is_no_object_is_refused(text: str) -> None:
    proto = load_from_string(core())
    helper.set_model_props(proto, {KEY: text})
    with pytest.raises(CardIncomplete):
        read_card(proto.SerializeToString())


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(UnsafeModel):
        read_card(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("value", "content"), [(0, b"\0"), (1, b"\1"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02")]
)
def test_a_number_is_written_in_groups_of_seven_bits(value: int, content: bytes) -> None:
    assert embed._varint(value) == content


def test_a_card_is_the_field_14_with_a_name_and_a_value() -> None:
    """Field 14 with a length is the byte 114; its fields 1 and 2 are 10 and 18."""
    assert embed_card(b"", {"a": "x"}) == b"\x72\x17" + b"\x0a\x0amodel_card" + b"\x12\x09" + b'{"a":"x"}'
    other = b"\x72\x0a" + b"\x0a\x04name" + b"\x12\x02ab"
    whole = embed_card(other + b"\x08\x05", {"a": 1})
    assert whole.startswith(other + b"\x08\x05")
    assert without_card(whole) == other + b"\x08\x05"
    assert read_card(whole) == {"a": 1}
    with pytest.raises(CardIncomplete, match=r"^the model file holds no model card$"):
        read_card(other)
    with pytest.raises(CardIncomplete, match=r"^the model file holds 2 model cards$"):
        read_card(embed_card(b"", {}) * 2)
    with pytest.raises(CardIncomplete, match=r"^the model card in the file is not JSON$"):
        read_card(b"\x72\x0f" + b"\x0a\x0amodel_card" + b"\x12\x01{")
    with pytest.raises(CardIncomplete, match=r"^the model card in the file is not an object$"):
        read_card(b"\x72\x10" + b"\x0a\x0amodel_card" + b"\x12\x02[]")
    with pytest.raises(UnsafeModel, match=r"^the file's metadata is not text$"):
        read_card(b"\x72\x03" + b"\x0a\x01\xff")
