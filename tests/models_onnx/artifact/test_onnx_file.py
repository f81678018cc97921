"""The reader of ONNX bytes: agrees with the onnx package, refuses what we do not run, survives anything."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import (
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
    helper,
    load_from_string,
    numpy_helper,
)

from models_onnx.artifact.onnx_file import (
    _DOMAIN_FIELD,
    _MESSAGES,
    DEEPEST,
    OnnxFileFacts,
    _fields,
    inspect_onnx,
    refuse_unsafe,
    top_fields,
)
from models_onnx.errors import UnsafeModel
from models_onnx.workbench.training.pipeline import Trained
from tests.conftest import ROOT, examples
from tests.each import for_rows


def model_of(*nodes: NodeProto, initializers: list[TensorProto] | None = None, **extra: object) -> ModelProto:
    """A small model around these nodes."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(list(nodes), "g", [value], [value], initializers or [])
    return helper.make_model(graph, **extra)


@pytest.mark.parametrize("domain", ["com.microsoft", "org.evil", "ai.onnx.training"])
def test_operators_of_another_domain_are_refused_and_named(domain: str) -> None:
    content = model_of(helper.make_node("Gelu", ["x"], ["y"], domain=domain)).SerializeToString()
    with pytest.raises(UnsafeModel, match=domain):
        refuse_unsafe(content)


def test_a_foreign_opset_import_alone_is_refused() -> None:
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    content = model_of(helper.make_node("Relu", ["x"], ["y"]), opset_imports=imports).SerializeToString()
    with pytest.raises(UnsafeModel, match=r"com\.example"):
        refuse_unsafe(content)


def test_an_operator_hidden_in_a_subgraph_is_refused() -> None:
    hidden = helper.make_graph([helper.make_node("Sneak", [], ["y"], domain="org.evil")], "then", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=hidden, else_branch=hidden)
    with pytest.raises(UnsafeModel, match=r"org\.evil"):
        refuse_unsafe(model_of(node).SerializeToString())


def test_an_operator_hidden_in_a_local_function_is_refused() -> None:
    node = helper.make_node("Sneak", ["x"], ["y"], domain="org.evil")
    function = helper.make_function("ai.onnx", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 18)])
    content = model_of(helper.make_node("F", ["x"], ["y"]), functions=[function]).SerializeToString()
    with pytest.raises(UnsafeModel, match=r"org\.evil"):
        refuse_unsafe(content)


def test_external_data_of_a_constant_node_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    content = model_of(helper.make_node("Constant", [], ["y"], value=tensor)).SerializeToString()
    with pytest.raises(UnsafeModel, match="external data"):
        refuse_unsafe(content)


def test_bytes_that_are_no_model_are_refused() -> None:
    for content in (b"", b"\x00", b"not a model at all", b"\xff" * 40):
        with pytest.raises(UnsafeModel):
            refuse_unsafe(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_but_never_crash(content: bytes) -> None:
    with contextlib.suppress(UnsafeModel):
        inspect_onnx(content)


@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(trained: Trained, data: st.DataObject) -> None:
    content = bytearray(trained.content)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafeModel):
        inspect_onnx(bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("part", [1, 2])
def test_both_parts_of_a_sparse_tensor_are_looked_into(part: int) -> None:
    tensor = bytes([14 << 3, 1])  # its data lie in another file
    sparse = bytes([part << 3 | 2, len(tensor)]) + tensor
    graph = bytes([1 << 3 | 2, 0]) + bytes([15 << 3 | 2, len(sparse)]) + sparse
    assert inspect_onnx(bytes([7 << 3 | 2, len(graph)]) + graph).external_data


# The wire format byte by byte: numbers, lengths and depths at their limits.
NODE = b"\x0a\x02\x32\x00"  # Graph field 1 (Node) with the empty field 6 (doc string) of a node


def _field(number: int, content: bytes) -> bytes:
    tag, size = number << 3 | 2, len(content)
    parts = []
    for value in (tag, size):
        while value >= 0x80:
            parts.append(value & 0x7F | 0x80)
            value >>= 7
        parts.append(value)
    return bytes(parts) + content


def _model(graph: bytes) -> bytes:
    return _field(7, graph)


def _read(content: bytes) -> list[tuple[int, int, int, object]]:
    return [
        (number, start, end, bytes(value) if isinstance(value, memoryview) else value)
        for number, start, end, value in _fields(memoryview(content))
    ]


@for_rows(
    ("content", "problem"),
    [
        (b"\x00\x01", "field 0"),
        (b"\x80\x80\x80\x80\x10\x01", "field 536870912"),
        (b"\x0b", "wire type 3 at byte 1"),
        (b"\x0a\x03ab", "it ends in the middle of a field"),
        (b"\x09" + b"1234567", "it ends in the middle of a field"),
        (b"\x0d" + b"123", "it ends in the middle of a field"),
        (b"\x08\x80\x00", "a number in more bytes than it needs"),
        (b"\xba\x80\x00\x01x", "a number in more bytes than it needs"),
        (b"\x3a\x81\x00x", "a number in more bytes than it needs"),
        (b"\x08" + b"\x80" * 9 + b"\x02", "a number in more bytes than it needs"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "a number in more bytes than it needs"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "a number longer than 64 bits"),
    ],
)
def test_bytes_that_two_readers_could_read_in_two_ways_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        _read(content)
    with pytest.raises(UnsafeModel) as refused:
        list(top_fields(content))
    assert str(refused.value) == f"the file is not a readable ONNX model: {problem}"


def test_a_message_that_ends_within_a_number_is_refused() -> None:
    for content in (b"\x08", b"\x08\x80", b"\x80"):
        with pytest.raises(UnsafeModel, match=r"^the file is not a readable ONNX model: "):
            list(top_fields(content))


def test_the_top_fields_have_a_value_where_they_have_a_length() -> None:
    fields = list(top_fields(b"\x08\x05\x12\x01x\x1d1234"))
    assert [(number, start, end) for number, start, end, _ in fields] == [(1, 0, 2), (2, 2, 5), (3, 5, 10)]
    assert [None if value is None else bytes(value) for *_, value in fields] == [None, b"x", b"1234"]


def _nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on: three messages deeper each time."""
    graph = NODE
    for _ in range(depth):
        graph = _field(1, _field(5, _field(6, graph)))
    return _model(graph)


def test_messages_are_read_down_to_a_depth_of_thirty_two() -> None:
    """The model is at 0, its graph at 1 and the last node at 2 + 3 * the graphs within graphs."""
    assert DEEPEST == 32
    assert inspect_onnx(_nested(10)).nodes == 11
    with pytest.raises(UnsafeModel, match=r"nested deeper than 32$"):
        inspect_onnx(_nested(11))


def test_what_a_file_would_make_the_runtime_do() -> None:
    facts = inspect_onnx(_model(NODE * 3) + _field(8, _field(1, b"ai.onnx.ml")))
    assert (facts.nodes, facts.domains, facts.external_data) == (3, {"ai.onnx.ml"}, False)
    assert inspect_onnx(_model(NODE) + _field(8, b"\x08\x05")).domains == set(), "a number is no name of a domain"
    with pytest.raises(UnsafeModel, match=r"^the file is not a readable ONNX model: it has no operators$"):
        inspect_onnx(_model(b""))
    with pytest.raises(UnsafeModel, match=r"field 7 of Model is not a message$"):
        inspect_onnx(b"\x38\x05")
    with pytest.raises(UnsafeModel) as refused:
        refuse_unsafe(_model(_field(1, _field(7, b"org.b")) + _field(1, _field(7, b"org.a"))))
    assert str(refused.value) == "the model uses operators of org.a, org.b; only ai.onnx and ai.onnx.ml are run"


@for_rows(
    ("tensor", "is_external"),
    [
        (b"", False),
        (b"\x70\x00", False),  # data_location DEFAULT
        (b"\x70\x01", True),
        (b"\x6a\x00", True),  # external_data
        (b"\x68\x00", True),
        (b"\x62\x01x", False),
        (b"\x08\x01", False),
    ],
)
def test_a_tensor_in_another_file(tensor: bytes, is_external: bool) -> None:
    content = _model(NODE + _field(5, tensor))
    assert inspect_onnx(content).external_data is is_external
    if is_external:
        with pytest.raises(UnsafeModel) as refused:
            refuse_unsafe(content)
        assert str(refused.value) == ("the model keeps tensors in another file (external data); write it as one file")
    else:
        refuse_unsafe(content)
    both = _model(NODE + _field(5, tensor) + _field(5, b"\x08\x01"))
    assert inspect_onnx(both).external_data is is_external, "a later tensor changes nothing"


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


@for_rows("model", WAYS_ROUND.values(), ids=WAYS_ROUND)
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
