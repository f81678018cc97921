"""The card inside the ONNX file: one entry of metadata_props, as the last of them.

The file without its card stays the same to the bit: `core_digest` is what retraining compares. The server, which has
no `onnx`, reads the card by the runtime (`Model.metadata`) or beside the file.
"""

import hashlib
import json
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, load_from_string

from models_onnx.errors import CardIncomplete, UnsafeModel

KEY = "model_card"


def embed_card(content: bytes, card: dict[str, Any]) -> bytes:
    """Return the file with this card in it, in place of any other."""
    proto, _ = _parted(content)
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(card, ensure_ascii=False, separators=(",", ":"))
    return bytes(proto.SerializeToString(deterministic=True))


def without_card(content: bytes) -> bytes:
    """Return the file without its card; the same bytes where it has none."""
    proto, texts = _parted(content)
    return bytes(proto.SerializeToString(deterministic=True)) if texts else content


def read_card(content: bytes) -> dict[str, Any]:
    """Return the card in the file; CardIncomplete where there is none, more than one, or none that can be read."""
    _, texts = _parted(content)
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


def _parted(content: bytes) -> tuple[ModelProto, list[str]]:
    """Return the file without cards, and the cards it had; UnsafeModel where the bytes are no file of ONNX."""
    try:
        proto = load_from_string(content)
    except DecodeError as problem:
        raise UnsafeModel("the file is not a readable ONNX model") from problem
    places = [place for place, entry in enumerate(proto.metadata_props) if entry.key == KEY]
    texts = [proto.metadata_props[place].value for place in places]
    for place in reversed(places):
        del proto.metadata_props[place]
    return proto, texts
