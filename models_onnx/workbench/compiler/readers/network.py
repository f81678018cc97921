"""Any ONNX file as a function from rows of inputs to one number: a network, a pipeline, trees of any library.

The file takes a table, [N, F], or one [N, 1] or [N] for each input by name. It answers with a probability of each row,
or with log odds. A sigmoid or softmax at its end is left off, because log odds are then exact where a float32
probability near 1 is not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    inliner,
    load_from_string,
    numpy_helper,
    version_converter,
)

from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.errors import CompileRefused
from models_onnx.serving.runtime import RUN_ERRORS, session_of
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, INT64, ML_DOMAIN, ML_OPSET, OPSET, SECOND_AXIS, Graph

Array = NDArray[np.float64]
Scale = Literal["probability", "log odds"]

_TEXT = "tensor(string)"
_TYPES: dict[str, tuple[int, Any]] = {
    _TEXT: (TensorProto.STRING, np.object_),
    "tensor(float)": (FLOAT, np.float32),
    "tensor(double)": (DOUBLE, np.float64),
    "tensor(int64)": (INT64, np.int64),
}
_ONLY_SHAPE = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class OnnxSource:
    """An ONNX file with what its declaration says of it.

    `columns`: the names of the inputs as the declaration has them, where they are others than the features'.
    `scale`: what the answer is, unless it is a probability.
    `texts`: of inputs that the file takes as text, the number by which each text is known here, by the feature's name.
    `factors`: for each input, by what a number of the file is multiplied to be in the feature's unit; all 1 if empty.
    """

    name: str
    content: bytes
    columns: tuple[str, ...] = ()
    scale: Scale = "probability"
    texts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    factors: tuple[float, ...] = ()

    def texts_of(self, features: Sequence[str]) -> dict[int, Mapping[str, float]]:
        """Return the numbers of the texts of each input that is a text, by its position."""
        return {j: self.texts[name] for j, name in enumerate(features) if name in self.texts}


@dataclass(frozen=True, slots=True)
class Network:
    """The part of a file that leads to its answer; `columns` of the answer are 1, or 2 where it is of both classes."""

    name: str
    proto: ModelProto
    session: onnxruntime.InferenceSession
    scale: Scale
    columns: int = 1
    texts: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    factors: Array = field(default_factory=lambda: np.ones(1))
    """By what each number of the file is multiplied to be in the feature's unit."""
    strict: frozenset[int] = frozenset()
    """The inputs of whose texts the file takes no other: a number beside or beyond theirs counts as the nearest."""

    @classmethod
    def read(cls, source: OnnxSource, features: tuple[str, ...], low: Array, high: Array) -> Self:
        """Return the network of a file; it is run on the rows `low` and `high` of a cohort to see that it answers.

        Raises:
            CompileRefused: it cannot be run, takes other inputs or the same in another order, or gives something else.
        """
        refuse_unsafe(source.content)
        try:
            proto, scale = _only_answer(_decoded(source), source.scale)
            session, texts = session_of(proto.SerializeToString()), source.texts_of(features)
            factors = np.array([1.0 if j in texts else factor for j, factor in enumerate(source.factors)] or [1.0])
            network = cls(source.name, proto, session, scale, texts=texts, factors=factors)
            network._refuse_other_inputs(source.columns or features)
            rows = np.vstack([low, high])
            answer = network._run(rows)
        except CompileRefused:
            raise
        except Exception as problem:  # whatever somebody else's file makes onnx's converters and the runtime raise
            sentence = str(problem).strip().splitlines()[0][:_LONGEST_ERROR]
            raise CompileRefused(f"{source.name} cannot be loaded and run: {sentence}") from problem
        if answer.shape not in ((2,), (2, 1), (2, 2)):
            raise CompileRefused(
                f"{source.name} gives {list(answer.shape)} for two rows; one probability of each is needed"
            )
        if not np.isfinite(answer).all() or (scale == "probability" and not ((answer >= 0) & (answer <= 1)).all()):
            raise CompileRefused(
                f"{source.name} gives numbers outside 0 to 1, which are not probabilities; where they are log odds, "
                "declare answer='log odds'"
            )
        network = replace(network, columns=answer.size // 2)
        taken = network.takes_missing(rows[0]) if texts else np.ones(0)
        return replace(network, strict=frozenset(j for j in texts if not taken[j]))

    def steps(self, source: OnnxSource) -> list[Callable[[Array], Array]]:
        """Return what the trees of the file take, or else what its imputers give, as functions of rows [N, F]."""
        proto = _decoded(source)
        of_trees = [node.input[0] for node in proto.graph.node if node.op_type.startswith("TreeEnsemble")]
        tensors = of_trees or [node.output[0] for node in proto.graph.node if node.op_type == "Imputer"]
        cuts = (leading_to(proto, tensor).SerializeToString() for tensor in tensors)
        return [replace(self, session=session_of(cut))._columns for cut in cuts]

    def _columns(self, values: Array) -> Array:
        lacks = np.isnan(values) & self.whole_numbers(values.shape[1])
        columns = self._run(np.where(lacks, 0.0, values)).astype(np.float64).reshape(len(values), -1)
        columns[np.any(lacks, axis=1)] = np.nan
        return columns

    def whole_numbers(self, count: int) -> NDArray[np.bool_]:
        """Return which of `count` inputs the file takes as whole numbers, among which none says that it is missing."""
        is_whole = [item.type == "tensor(int64)" for item in self.session.get_inputs()]
        return np.array(is_whole) if len(is_whole) > 1 else np.full(count, is_whole[0])

    @property
    def _converts(self) -> bool:
        return bool((self.factors != 1.0).any())

    def takes_missing(self, row: Array) -> NDArray[np.bool_]:
        """Return for each input of this row whether the file answers with a number where it is missing."""
        rows = np.tile(row, (len(row), 1))
        rows[np.diag_indices(len(row))] = np.nan
        return np.array([self._answers_one(one) for one in rows])

    def _answers_one(self, row: Array) -> bool:
        try:
            return bool(np.isfinite(self.answers(row[None])).all())
        except RUN_ERRORS:
            return False

    def answers(self, values: Array) -> Array:
        """Return the answer [N] for rows [N, F], NaN where a whole number is missing."""
        table = self._columns(values)
        return table[:, 1] - table[:, 0] if self.columns == 2 and self.scale == "log odds" else table[:, -1]

    def write(self, graph: Graph, values: str) -> str:
        """Write the network on float32 tensors [N, F] and return its answers, float64 [N, 1]."""
        answer = graph.include(self.proto, self._written_inputs(graph, values), "network/")
        wide = graph.node("Cast", [answer], "answer", to=DOUBLE)
        table = graph.node("Reshape", [wide, graph.constant("answer_shape", [-1, self.columns], np.int64)], "answers")
        if self.columns == 1:
            return table
        of_class = ([[0.0], [1.0]], [[-1.0], [1.0]])[self.scale == "log odds"]
        return graph.node("MatMul", [table, graph.constant("of_class", of_class, np.float64)], "of_event")

    def _run(self, values: Array) -> NDArray[Any]:
        items, given = self.session.get_inputs(), values / self.factors
        if self._converts:
            given = np.where(self.whole_numbers(values.shape[1]), np.round(given), given)
        parts = [given] if len(items) == 1 else np.split(given, len(items), axis=1)
        feed = {
            item.name: (self._texts(j, part) if item.type == _TEXT else part.astype(_TYPES[item.type][1])).reshape(
                -1, *part.shape[1 : len(item.shape)]
            )
            for j, (item, part) in enumerate(zip(items, parts, strict=True))
        }
        return np.asarray(self.session.run(None, feed)[0])

    def _texts(self, column: int, numbers: Array) -> NDArray[np.object_]:
        by_number = {number: text for text, number in self.texts[column].items()}
        if column in self.strict:
            known = np.array(list(by_number), dtype=np.float64)
            numbers = known[np.abs(numbers - known).argmin(axis=1)][:, None]
        return np.array([by_number.get(number, "") for number in numbers.ravel()], dtype=object).reshape(numbers.shape)

    def _written_texts(self, graph: Graph, column: int, tensor: str) -> str:
        numbers = self.texts[column]
        if column in self.strict:
            known = graph.constant(f"{tensor}_known", [list(map(float, numbers.values()))], np.float32)
            apart = graph.node("Abs", [graph.node("Sub", [tensor, known], f"{tensor}_from")], f"{tensor}_apart")
            nearest = graph.node("ArgMin", [apart], f"{tensor}_nearest", axis=1, keepdims=1)
            keys = {"keys_int64s": list(range(len(numbers))), "values_strings": list(numbers)}
            return graph.node("LabelEncoder", [nearest], f"{tensor}_text", domain=ML_DOMAIN, default_string="", **keys)
        return graph.node(
            "LabelEncoder",
            [tensor],
            f"{tensor}_text",
            domain=ML_DOMAIN,
            keys_floats=list(map(float, numbers.values())),
            values_strings=list(numbers),
            default_string="",
        )

    def _written_inputs(self, graph: Graph, values: str) -> dict[str, str]:
        items, given = self.session.get_inputs(), values
        if self._converts:
            exact = graph.node("Cast", [values], "exact", to=DOUBLE)
            exact = graph.node("Div", [exact, graph.constant("factors", self.factors, np.float64)], "in_units_of_file")
            whole = graph.constant("whole", self.whole_numbers(len(self.factors)), np.bool_)
            given = graph.node("Where", [whole, graph.node("Round", [exact], "rounded"), exact], "given")
        parts = [given]
        if len(items) > 1:
            places = [graph.constant(f"column{number}", [number], np.int64) for number in range(len(items))]
            of_each = [values if item.type == _TEXT else given for item in items]
            pairs = zip(of_each, places, strict=True)
            parts = [graph.node("Gather", [table, at], f"{at}_values", axis=1) for table, at in pairs]
        written = {
            item.name: self._written_texts(graph, j, part)
            if item.type == _TEXT
            else graph.node("Cast", [part], f"{part}_given", to=_TYPES[item.type][0])
            for j, (item, part) in enumerate(zip(items, parts, strict=True))
        }
        flat = [item.name for item in items if len(item.shape) == 1]
        return written | {name: graph.node("Squeeze", [written[name], SECOND_AXIS], f"{name}_flat") for name in flat}

    def _refuse_other_inputs(self, features: tuple[str, ...]) -> None:
        items = self.session.get_inputs()
        shapes = ", ".join(f"{item.name} {item.type} {item.shape}" for item in items)
        if any(item.type not in _TYPES for item in items):
            raise CompileRefused(
                f"{self.name} takes {shapes}; inputs are float, double, int64 or string: export it with these types"
            )
        strange = [item.name for j, item in enumerate(items) if item.type == _TEXT and j not in self.texts]
        if strange:
            raise CompileRefused(
                f"{self.name} takes {', '.join(strange)} as text: declare is_text and values of the input, "
                'such as values = { "M" = 1, "F" = 0 }'
            )
        if any(item.shape and isinstance(item.shape[0], int) for item in items):
            raise CompileRefused(
                f"{self.name} takes {shapes}: it was exported for a fixed number of rows; export it with a dynamic "
                "first axis"
            )
        wanted = [[len(features)]] if len(items) == 1 else [[1], []]
        fits = len(items) in (1, len(features))
        expected = f"[N, {len(features)}], or one [N, 1] or [N] for each of {', '.join(features)}"
        if not fits or not all(any(_fits(item.shape[1:], sizes) for sizes in wanted) and item.shape for item in items):
            raise CompileRefused(f"{self.name} takes {shapes}; the declaration gives {expected}")
        input_names = tuple(item.name for item in items)
        if len(items) > 1 and input_names != features:
            another = "in another order" if set(input_names) == set(features) else "others"
            raise CompileRefused(
                f"{self.name} takes its inputs {another}: {', '.join(input_names)}; declared are "
                f"{', '.join(features)}. Declare them in the file's order, and with `called` where it calls them "
                "otherwise"
            )


def _fits(shape: Sequence[Any], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(size, int) or size == number for size, number in zip(shape, wanted, strict=True)
    )


def _decoded(source: OnnxSource) -> ModelProto:
    try:
        proto = load_from_string(source.content)
    except DecodeError as problem:
        raise CompileRefused(f"{source.name} is not a readable ONNX model") from problem
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    if any(attribute.HasField("g") for node in proto.graph.node for attribute in node.attribute):
        raise CompileRefused(f"{source.name} has loops or branches (subgraphs), which are not compiled")
    opsets = {item.domain or "ai.onnx": item.version for item in proto.opset_import}
    if opsets.get(ML_DOMAIN, 1) > ML_OPSET:
        raise CompileRefused(
            f"{source.name} is of opset {opsets[ML_DOMAIN]} of {ML_DOMAIN}: export it with {ML_OPSET}, as in "
            f"to_onnx(model, X[:1], target_opset={{'': {OPSET}, '{ML_DOMAIN}': {ML_OPSET}}})"
        )
    return proto


def _only_answer(proto: ModelProto, scale: Scale) -> tuple[ModelProto, Scale]:
    """Return the nodes that lead to the answer, in opset 18 or later, and the scale of what is left of them."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    answer = _event_of_both(_answer_of(proto, producers), producers)
    if scale == "probability" and (margin := _margin_of(proto, answer, producers)) is not None:
        answer, scale = margin, "log odds"
    cut = leading_to(proto, answer)
    version = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), OPSET)
    return (cut if version >= OPSET else version_converter.convert_version(cut, OPSET)), scale


def leading_to(proto: ModelProto, tensor: str) -> ModelProto:
    """Return the file with the nodes that lead to one tensor, which is its output."""
    nodes, wanted = [], {tensor}
    for node in reversed(proto.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    constants = [item for item in proto.graph.initializer if item.name in wanted]
    inputs = [item for item in proto.graph.input if item.name not in {constant.name for constant in constants}]
    output = helper.make_tensor_value_info(tensor, _type_of(proto, tensor), None)
    graph = helper.make_graph(nodes[::-1], "network", inputs, [output], constants)
    ir_version = helper.find_min_ir_version_for(proto.opset_import)
    cut = helper.make_model(graph, opset_imports=proto.opset_import, ir_version=ir_version)
    cut.metadata_props.extend(proto.metadata_props)
    return cut


def _answer_of(proto: ModelProto, producers: dict[str, NodeProto]) -> str:
    """Return the tensor of the answer: the output called a probability, else the first that holds real numbers."""
    names: list[str] = []
    for item in proto.graph.output:
        node = producers.get(item.name)
        if node is not None and node.op_type == "ZipMap":
            names.append(node.input[0])
        elif item.type.tensor_type.elem_type in (FLOAT, DOUBLE):
            names.append(item.name)
    if not names:
        raise CompileRefused("the file has no output of real numbers, which could be a probability")
    return next((name for name in names if "prob" in name.lower()), names[0])


def _event_of_both(answer: str, producers: dict[str, NodeProto]) -> str:
    """Return p where the answer is 1 - p beside p, as scikit-learn's networks are written; else the answer."""
    both = producers.get(answer)
    if both is None or both.op_type != "Concat" or len(both.input) != 2:
        return answer
    other = producers.get(both.input[0])
    is_rest = other is not None and other.op_type == "Sub" and other.input[1] == both.input[1]
    return str(both.input[1]) if is_rest else answer


def _margin_of(proto: ModelProto, answer: str, producers: dict[str, NodeProto]) -> str | None:
    """Return the tensor of the log odds of a probability: without the sigmoid or softmax at its end; None without one.

    Only the shape of the probability may be changed after it. A linear classifier is written out in double precision.
    """
    node = producers.get(answer)
    while node is not None and node.op_type in (*_ONLY_SHAPE, "Normalizer"):
        node = producers.get(node.input[0])
    if node is None:
        return None
    if node.op_type == "LinearClassifier":
        return _linear_margin(proto, node)
    if node.op_type not in ("Sigmoid", "Softmax"):
        return None
    node.op_type = "Identity"
    del node.attribute[:]
    return answer


def _linear_margin(proto: ModelProto, node: NodeProto) -> str | None:
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    starts = np.asarray(attributes.get("intercepts", (0.0,)), dtype=np.float64)
    weights = np.asarray(attributes["coefficients"], dtype=np.float64).reshape(len(starts), -1)
    post = attributes.get("post_transform", b"NONE")
    if len(starts) > 2 or post not in (b"LOGISTIC", b"SOFTMAX"):
        return None
    if post == b"SOFTMAX" and len(starts) == 2:
        weights, starts = weights[1:] - weights[:1], starts[1:] - starts[:1]
    name = f"{node.output[1]}/log_odds"
    constants = {f"{name}/weights": weights[-1:].T, f"{name}/start": starts[-1:]}
    proto.graph.initializer.extend(numpy_helper.from_array(value, at) for at, value in constants.items())
    steps = [
        helper.make_node("Cast", [node.input[0]], [f"{name}/columns"], to=DOUBLE),
        helper.make_node("MatMul", [f"{name}/columns", f"{name}/weights"], [f"{name}/sum"]),
        helper.make_node("Add", [f"{name}/sum", f"{name}/start"], [name]),
    ]
    proto.graph.node.extend(steps)
    proto.graph.output.append(helper.make_tensor_value_info(name, DOUBLE, None))
    return name


def _type_of(proto: ModelProto, name: str) -> int:
    declared = (item.type.tensor_type.elem_type for item in proto.graph.output if item.name == name)
    return next(declared, TensorProto.FLOAT)
