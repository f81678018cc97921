"""What an ONNX file would make the runtime do, read from its bytes with the standard library alone.

Only as much of the protobuf wire format as is needed to visit every graph, subgraph, function, node and tensor
(onnx.proto3 of onnx 1.23: the field numbers below).
"""

from collections.abc import Iterator

from msgspec import Struct, field

from models_onnx.errors import UnsafeModel

ALLOWED_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# The graphs we write are flat; deeper nesting than this is an attack on the reader, not a model.
DEEPEST = 32

_HIGHEST_FIELD = 2**29 - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# message → field number → message it holds
_MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "OperatorSet", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 9: "OperatorSet", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
    "OperatorSet": {},
}
_DOMAIN_FIELD = {"OperatorSet": 1, "Node": 7, "Function": 10}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class OnnxFileFacts(Struct):
    """Domains of all operators, whether a tensor lies in another file, and how many nodes there are."""

    domains: set[str] = field(default_factory=set)
    external_data: bool = False
    nodes: int = 0


def inspect_onnx(content: bytes) -> OnnxFileFacts:
    """Return the facts about the file; UnsafeModel where the bytes are not a readable ONNX model."""
    facts = OnnxFileFacts()
    try:
        _visit("Model", memoryview(content), facts, 0)
    except (IndexError, ValueError) as problem:
        raise UnsafeModel(f"the file is not a readable ONNX model: {problem}") from problem
    if not facts.nodes:
        raise UnsafeModel("the file is not a readable ONNX model: it has no operators")
    return facts


def refuse_unsafe(content: bytes) -> None:
    """UnsafeModel for external data or for operators outside ai.onnx and ai.onnx.ml."""
    facts = inspect_onnx(content)
    if facts.external_data:
        raise UnsafeModel("the model keeps tensors in another file (external data); write it as one file")
    if unknown := sorted(facts.domains - ALLOWED_DOMAINS):
        raise UnsafeModel(f"the model uses operators of {', '.join(unknown)}; only ai.onnx and ai.onnx.ml are run")


def _visit(message: str, content: memoryview, facts: OnnxFileFacts, depth: int) -> None:
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    facts.nodes += message == "Node"
    for number, value in _fields(content):
        if message == "Tensor":
            facts.external_data |= number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)
        if number == _DOMAIN_FIELD.get(message) and isinstance(value, memoryview):
            facts.domains.add(bytes(value).decode())
        child = _MESSAGES[message].get(number)
        if child is not None:
            if not isinstance(value, memoryview):
                raise ValueError(f"field {number} of {message} is not a message")
            _visit(child, value, facts, depth + 1)


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(content):
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _HIGHEST_FIELD:  # a reader with 32 bits sees another field in a longer tag
            raise ValueError(f"field {number}")
        if wire == _VARINT:
            value, at = _varint(content, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(content, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + size > len(content):
            raise ValueError("it ends in the middle of a field")
        yield number, content[at : at + size]
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            # readers differ in what they make of bits beyond 64 and of a number that is longer than it need be
            if value >= 2**64 or (shift and not byte):
                raise ValueError("a number in more bytes than it needs")
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 64 bits")
