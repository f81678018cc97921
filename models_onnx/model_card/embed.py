"""The card inside the ONNX file: one entry of metadata_props, appended or taken out, byte for byte.

A protobuf message is the list of its fields, and a repeated field may stand anywhere in it (protobuf encoding guide),
so a file with a card is the file without it and one more field 14 (ModelProto.metadata_props of onnx.proto3). Nothing
but the standard library, and the file without its card stays the same to the bit: `core_digest` is what retraining
compares.
"""

import hashlib
import json
from typing import Any

from models_onnx.artifact.onnx_file import top_fields
from models_onnx.errors import CardIncomplete, UnsafeModel

KEY = "model_card"
_METADATA_PROPS, _NAME, _VALUE = 14, 1, 2


def embed_card(content: bytes, card: dict[str, Any]) -> bytes:
    """Return the file with this card in it, in place of any other."""
    return without_card(content) + _field(_METADATA_PROPS, _field(_NAME, KEY.encode()) + _field(_VALUE, _text(card)))


def without_card(content: bytes) -> bytes:
    """Return the file without its card; the same bytes where it has none."""
    fields, cards = [], 0
    for number, start, end, value in top_fields(content):
        if number == _METADATA_PROPS and value is not None and _entry(value)[0] == KEY:
            cards += 1
        else:
            fields.append(content[start:end])
    return b"".join(fields) if cards else content


def read_card(content: bytes) -> dict[str, Any]:
    """Return the card in the file; CardIncomplete where there is none, more than one, or none that can be read."""
    texts = [
        text
        for number, _, _, value in top_fields(content)
        if number == _METADATA_PROPS and value is not None
        for name, text in [_entry(value)]
        if name == KEY
    ]
    if len(texts) != 1:
        raise CardIncomplete(f"the model file holds {len(texts) or 'no'} model card{'s' if len(texts) > 1 else ''}")
    try:
        card = json.loads(texts[0])
    except ValueError as problem:
        raise CardIncomplete("the model card in the file is not JSON") from problem
    if not isinstance(card, dict):
        raise CardIncomplete("the model card in the file is not an object")
    return card


def core_digest(content: bytes) -> str:
    """sha256 of the file without its card: what training alone decides, whatever the card says."""
    return hashlib.sha256(without_card(content)).hexdigest()


def _text(card: dict[str, Any]) -> bytes:
    return json.dumps(card, ensure_ascii=False, separators=(",", ":"), sort_keys=False).encode()


def _entry(value: memoryview) -> tuple[str, str]:
    name = text = ""
    for number, _, _, part in top_fields(bytes(value)):
        if part is not None and number in (_NAME, _VALUE):
            try:
                content = bytes(part).decode()
            except UnicodeDecodeError as problem:
                raise UnsafeModel("the file's metadata is not text") from problem
            name, text = (content, text) if number == _NAME else (name, content)
    return name, text


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
