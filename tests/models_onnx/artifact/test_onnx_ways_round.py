"""Ways round the reader of ONNX bytes: every message that can hold an operator or a tensor is looked into."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, SparseTensorProto, TensorProto, TrainingInfoProto, helper, load_from_string, numpy_helper

from models_onnx.artifact.onnx_file import _DOMAIN_FIELD, _MESSAGES, OnnxFileFacts, _fields, inspect_onnx, refuse_unsafe
from models_onnx.errors import UnsafeModel
from tests.conftest import ROOT, examples
from tests.models_onnx.artifact.test_onnx_file import model_of

EVIL = helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")
GOOD = helper.make_node("Relu", ["x"], ["y"])
HIDING = helper.make_graph([EVIL], "hiding", [], [])
_OF_ONNX = {f"{name}Proto": name for name in _MESSAGES if name not in ("Training", "OperatorSet")}
_OF_ONNX |= {"TrainingInfoProto": "Training", "OperatorSetIdProto": "OperatorSet"}


def _external() -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, dtype=np.int64), "w")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def _training() -> ModelProto:
    model = model_of(GOOD)
    model.training_info.append(TrainingInfoProto(algorithm=HIDING))
    return model


def _sparse() -> ModelProto:
    model = model_of(GOOD)
    model.graph.sparse_initializer.append(SparseTensorProto(indices=_external(), dims=[3]))
    return model


def _function(**parts: Any) -> ModelProto:
    function = helper.make_function("ai.onnx", "F", ["x"], ["y"], [GOOD], [helper.make_opsetid("", 18)])
    function.MergeFrom(type(function)(**parts))
    return model_of(GOOD, functions=[function])


WAYS_ROUND = {
    "the body of a Loop": model_of(helper.make_node("Loop", ["x"], ["y"], body=HIDING)),
    "the body of a Scan": model_of(helper.make_node("Scan", ["x"], ["y"], body=HIDING, num_scan_inputs=1)),
    "graphs as a list": model_of(helper.make_node("Relu", ["x"], ["y"], these=[HIDING])),
    "training": _training(),
    "an opset of a function": _function(opset_import=[helper.make_opsetid("com.microsoft", 1)]),
    "a function's own domain": _function(domain="com.microsoft"),
    "a default value of a function": _function(attribute_proto=[helper.make_attribute("a", HIDING)]),
    "the indices of a sparse tensor": _sparse(),
    "a tensor among several": model_of(helper.make_node("Relu", ["x"], ["y"], these=[_external()])),
}


@pytest.mark.parametrize("model", WAYS_ROUND.values(), ids=WAYS_ROUND)
def test_an_operator_or_a_tensor_elsewhere_is_found(model: ModelProto) -> None:
    with pytest.raises(UnsafeModel, match=r"com\.microsoft|external data"):
        refuse_unsafe(model.SerializeToString())


def test_every_message_that_can_hold_an_operator_or_a_tensor_is_looked_into() -> None:
    """By the descriptors of the onnx package: a later version with another field fails here."""
    seen = {ModelProto.DESCRIPTOR.name: ModelProto.DESCRIPTOR}
    waiting = [ModelProto.DESCRIPTOR]
    holding: dict[str, dict[int, str]] = {name: {} for name in _MESSAGES}
    while waiting:
        message = waiting.pop()
        for field in message.fields:
            kind = field.message_type
            if kind is None:
                continue
            if kind.name in _OF_ONNX:
                assert message.name in _OF_ONNX, f"{message.name} is not looked into"
                holding[_OF_ONNX[message.name]][field.number] = _OF_ONNX[kind.name]
            if kind.name not in seen:
                seen[kind.name] = kind
                waiting.append(kind)
    assert holding == _MESSAGES
    domains = {
        ours: seen[name].fields_by_name["domain"].number
        for name, ours in _OF_ONNX.items()
        if "domain" in seen[name].fields_by_name and ours != "Model"  # a model's own is where its author lives
    }
    assert domains == _DOMAIN_FIELD


BASE = model_of(GOOD, helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([GOOD], "then", [], []))
).SerializeToString()  # fmt: skip


def _encoded(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def parsed(content: bytes) -> list[tuple[int, int, Any]]:
    """Number, kind on the wire and value of each field."""
    fields = []
    for number, start, end, value in _fields(memoryview(content)):
        wire = next(w for w in (0, 1, 2, 5) if content[start:end].startswith(_encoded(number << 3 | w)))
        fields.append((number, wire, value))
    return fields


def written(fields: list[tuple[int, int, Any]]) -> bytes:
    """The message of these fields, each number in as few bytes as it needs."""
    parts = []
    for number, wire, value in fields:
        parts.append(_encoded(number << 3 | wire))
        if isinstance(value, int):
            parts.append(_encoded(value))
        else:
            parts += [_encoded(len(value)) if wire == 2 else b"", bytes(value)]
    return b"".join(parts)


def _changed(data: st.DataObject, message: str, content: bytes) -> bytes:
    """The message with one field, at any depth, doubled, dropped, moved, or made one of another kind or number."""
    fields: list[tuple[int, int, Any]] = parsed(content)
    if not fields:
        return content
    at = data.draw(st.integers(0, len(fields) - 1))
    number, wire, value = fields[at]
    child = _MESSAGES[message].get(number)
    if child is not None and wire == 2 and data.draw(st.booleans()):
        fields[at] = (number, wire, _changed(data, child, bytes(value)))
        return written(fields)
    what = data.draw(st.sampled_from(("double", "drop", "move", "unknown", "wire", "number", "evil")))
    if what == "double":
        fields.append(fields[at])
    elif what == "drop":
        del fields[at]
    elif what == "move":
        fields.append(fields.pop(at))
    elif what == "unknown":
        fields.insert(at, (data.draw(st.integers(26, 500)), 2, data.draw(st.binary(max_size=8))))
    elif what == "wire":
        fields[at] = (number, 0, data.draw(st.integers(0, 2**64 - 1))) if wire == 2 else (number, 2, b"\x01")
    elif what == "number":
        fields[at] = (data.draw(st.integers(1, 30)), wire, value)
    else:
        fields.insert(at, (number, 2, EVIL.SerializeToString()))
    return written(fields)


def _nodes(message: Any) -> Iterator[Any]:
    """Every operator that the onnx package sees, wherever it is."""
    if message.DESCRIPTOR.name == "NodeProto":
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if not hasattr(value, "ListFields") else (value,):
                yield from _nodes(each)


@settings(max_examples=examples(150))
@given(data=st.data())
def test_whatever_is_accepted_is_what_the_onnx_package_reads(data: st.DataObject) -> None:
    content = BASE
    for _ in range(data.draw(st.integers(1, 4))):
        try:
            content = _changed(data, "Model", content)
        except (IndexError, ValueError):  # what an earlier change made is not a message any more
            break
    try:
        refuse_unsafe(content)
        facts: OnnxFileFacts = inspect_onnx(content)
    except UnsafeModel:
        return
    assert written(parsed(content)) == content
    try:
        read = load_from_string(content)
    except DecodeError:
        return
    found = list(_nodes(read))
    assert {node.domain for node in found} <= {"", "ai.onnx", "ai.onnx.ml"}
    assert {node.domain for node in found if node.domain} <= facts.domains
    assert len(found) <= facts.nodes


def test_every_model_written_again_from_what_was_parsed_is_the_same_file() -> None:
    files = [file for file in sorted((ROOT / "models_onnx").rglob("*.onnx")) if file.stat().st_size < 2_000_000]
    assert files
    assert [file.name for file in files if written(parsed(file.read_bytes())) != file.read_bytes()] == []
