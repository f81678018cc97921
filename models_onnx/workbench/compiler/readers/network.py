"""Any ONNX file as a function from rows of inputs to one number: a network, a pipeline, trees of any library.

The file takes a table ([N, F], or one [N, 1] for each input by name) or a series ([N, T, Q] and, second, a mask of the
same shape, 1 where recorded). It answers with a probability of each row, or with log odds. A sigmoid or softmax at its
end is left off, because log odds are then exact where a float32 probability near 1 is not.
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
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, INT64, ML_DOMAIN, ML_OPSET, OPSET, Graph
from models_onnx.workbench.compiler.link import LOGIT

Array = NDArray[np.float64]
Scale = Literal["probability", "log odds"]

_TEXT = "tensor(string)"
_TYPES: dict[str, tuple[int, Any]] = {
    _TEXT: (TensorProto.STRING, np.object_),
    "tensor(float)": (FLOAT, np.float32),
    "tensor(double)": (DOUBLE, np.float64),
    "tensor(int64)": (INT64, np.int64),
}
ONLY_SHAPE = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class OnnxSource:
    """An ONNX file with what its declaration says of it.

    `columns`: the names of the inputs as the declaration has them, where they are others than the features'.
    `steps`: of a series, how many steps each quantity has. `scale`: what the answer is, unless it is a probability.
    `texts`: of inputs that the file takes as text, the number by which each text is known here, by the feature's name.
    `factors`: for each input, by what a number of the file is multiplied to be in the feature's unit; all 1 if empty.
    """

    name: str
    content: bytes
    columns: tuple[str, ...] = ()
    steps: int | None = None
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
    steps: int | None
    scale: Scale
    columns: int = 1
    texts: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
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
            network = cls(source.name, proto, session, source.steps, scale, texts=texts)
            network._refuse_other_inputs(source.columns or features)
            rows = np.vstack([low, high])
            answer = network._run(rows, np.ones_like(rows))
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

    def part(self, source: OnnxSource, tensor: str) -> Callable[[Array], Array]:
        """Return a tensor of the whole file as a function of rows [N, F]."""
        session = session_of(leading_to(_decoded(source), tensor).SerializeToString())
        return replace(self, session=session)._columns

    def weighted_columns(self) -> tuple["Network", Array] | None:
        """Return the network up to the columns [N, K] whose weighted sum is its answer, and the weights [K].

        They are those before a linear classifier, or a single output of PyTorch; None where there are none.
        """
        found = None if self.columns > 1 or self.steps is not None else _weighted_sum(self.proto)
        if found is None:
            return None
        tensor, weights = found
        wide = helper.make_tensor_value_info(f"{tensor}/as_double", DOUBLE, None)
        proto = ModelProto()
        proto.CopyFrom(self.proto)
        proto.graph.node.append(helper.make_node("Cast", [tensor], [wide.name], to=DOUBLE))
        proto.graph.output.append(wide)
        proto = leading_to(proto, wide.name)
        if len(proto.graph.input) < len(self.session.get_inputs()):  # an input that changes nothing
            return None
        return replace(self, proto=proto, session=session_of(proto.SerializeToString())), weights

    def columns_of(self, values: Array) -> Array:
        """Return all numbers [N, K] that the network gives, NaN where a whole number is missing."""
        return self._columns(values)

    def write_columns(self, graph: Graph, values: str, count: int, columns: int) -> str:
        """Write the network on float32 tensors [N, F] and return its K numbers, float64 [N, K]."""
        wide = graph.include(self.proto, self._written_inputs(graph, values, "", count), "network/")
        return graph.node("Reshape", [wide, graph.constant("columns_shape", [-1, columns], np.int64)], "columns")

    def _columns(self, values: Array) -> Array:
        lacks = np.isnan(values) & self.whole_numbers(values.shape[1])
        columns = self._run(np.where(lacks, 0.0, values), np.ones_like(values)).astype(np.float64)
        columns = columns.reshape(len(values), -1)
        columns[np.any(lacks, axis=1)] = np.nan
        return columns

    @property
    def has_mask(self) -> bool:
        """Whether the network is told which steps of a series are recorded."""
        return self.steps is not None and len(self.session.get_inputs()) == 2

    def whole_numbers(self, count: int) -> NDArray[np.bool_]:
        """Return which of `count` inputs the file takes as whole numbers, among which none says that it is missing."""
        is_whole = [item.type == "tensor(int64)" for item in self.session.get_inputs()]
        per_column = self.steps is None and len(is_whole) > 1
        return np.array(is_whole) if per_column else np.full(count, is_whole[0])

    def takes_missing(self, row: Array) -> NDArray[np.bool_]:
        """Return for each input of this row whether the file answers with a number where it is missing."""
        rows = np.tile(row, (len(row), 1))
        rows[np.diag_indices(len(row))] = np.nan
        return np.array([self.has_mask or self._answers_one(one) for one in rows])

    def _answers_one(self, row: Array) -> bool:
        try:
            return bool(np.isfinite(self.of_whole_rows(row[None])).all())
        except RUN_ERRORS:
            return False

    def answers(self, values: Array, recorded: Array) -> Array:
        """Return the answer [N] for rows [N, F], NaN where a whole number is missing; `recorded` is 1 for a value."""
        lacks = np.isnan(values) & self.whole_numbers(values.shape[1])
        table = self._run(np.where(lacks, 0.0, values), recorded).astype(np.float64).reshape(-1, self.columns)
        answer = table[:, 1] - table[:, 0] if self.columns == 2 and self.scale == "log odds" else table[:, -1]
        return np.where(lacks.any(axis=1), np.nan, answer)

    def probabilities(self, values: Array) -> Array:
        """Return the probability of each row [N, F], as the file itself computes it; NaN of what it does not take."""
        answers = self.of_whole_rows(values)
        return answers if self.scale == "probability" else LOGIT.probability(answers)

    def of_whole_rows(self, values: Array) -> Array:
        """Return the answer to each row [N, F], every value of which counts as recorded."""
        return self.answers(values, np.ones_like(values))

    def write(self, graph: Graph, values: str, recorded: str, count: int) -> str:
        """Write the network on float32 tensors [N, F] and return its answers, float64 [N, 1]."""
        answer = graph.include(self.proto, self._written_inputs(graph, values, recorded, count), "network/")
        wide = graph.node("Cast", [answer], "answer", to=DOUBLE)
        table = graph.node("Reshape", [wide, graph.constant("answer_shape", [-1, self.columns], np.int64)], "answers")
        if self.columns == 1:
            return table
        of_class = ([[0.0], [1.0]], [[-1.0], [1.0]])[self.scale == "log odds"]
        return graph.node("MatMul", [table, graph.constant("of_class", of_class, np.float64)], "of_event")

    def _run(self, values: Array, recorded: Array) -> NDArray[Any]:
        items = self.session.get_inputs()
        if self.steps is not None:
            shape = (len(values), values.shape[1] // self.steps, self.steps)
            parts = [part.reshape(shape).transpose(0, 2, 1) for part in (values, recorded)]
        elif len(items) == 1:
            parts = [values]
        else:
            parts = [values[:, column : column + 1] for column in range(len(items))]
        feed = {
            item.name: self._texts(j, part) if item.type == _TEXT else part.astype(_TYPES[item.type][1])
            for j, (item, part) in enumerate(zip(items, parts, strict=False))
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

    def _written_inputs(self, graph: Graph, values: str, recorded: str, count: int) -> dict[str, str]:
        items = self.session.get_inputs()
        if self.steps is not None:
            shape = graph.constant("by_quantity", [-1, count // self.steps, self.steps], np.int64)
            parts = [
                graph.node(
                    "Transpose",
                    [graph.node("Reshape", [part, shape], f"{part}_series")],
                    f"{part}_steps",
                    perm=[0, 2, 1],
                )
                for part in (values, recorded)[: len(items)]
            ]
        elif len(items) == 1:
            parts = [values]
        else:
            places = [graph.constant(f"column{number}", [number], np.int64) for number in range(len(items))]
            parts = [graph.node("Gather", [values, at], f"{at}_values", axis=1) for at in places]
        return {
            item.name: self._written_texts(graph, j, part)
            if item.type == _TEXT
            else graph.node("Cast", [part], f"{part}_given", to=_TYPES[item.type][0])
            for j, (item, part) in enumerate(zip(items, parts, strict=True))
        }

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
                f"{self.name} takes {', '.join(strange)} as text: declare the number of each text, such as "
                f"texts={{'sex_male': {{'M': 1, 'F': 0}}}} of Fitted, or values of the input in NAME.model.toml"
            )
        if any(item.shape and isinstance(item.shape[0], int) for item in items):
            raise CompileRefused(
                f"{self.name} takes {shapes}: it was exported for a fixed number of rows; export it with a dynamic "
                "first axis"
            )
        if self.steps is not None:
            wanted = [self.steps, len(features) // self.steps]
            fits = len(features) % self.steps == 0 and len(items) <= 2
            expected = f"[N, {self.steps}, {wanted[1]}] and, second, a mask of the same shape (1 where recorded)"
        else:
            wanted = [len(features) if len(items) == 1 else 1]
            fits = len(items) in (1, len(features))
            expected = f"[N, {len(features)}], or one [N, 1] for each of {', '.join(features)}"
        if not fits or any(not _fits(item.shape[1:], wanted) for item in items):
            raise CompileRefused(f"{self.name} takes {shapes}; the declaration gives {expected}")
        input_names = tuple(item.name for item in items)
        if self.steps is None and len(items) > 1 and input_names != features:
            another = "in another order" if set(input_names) == set(features) else "others"
            raise CompileRefused(
                f"{self.name} takes its inputs {another}: {', '.join(input_names)}; declared are "
                f"{', '.join(features)}. Declare them in the file's order, and with columns=(...) where it calls them "
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
    if any(factor != 1.0 for factor in source.factors):
        _convert_units(proto, source.factors)
    return proto


def _convert_units(proto: ModelProto, factors: Sequence[float]) -> None:
    """Writes before the file's operators what makes the feature's unit the file's."""
    constants = {item.name for item in proto.graph.initializer}
    inputs = [item for item in proto.graph.input if item.name not in constants]
    converting: list[NodeProto] = []
    for j, item in enumerate(inputs):
        by_input = factors if len(inputs) == 1 else factors[j : j + 1]
        kind = item.type.tensor_type.elem_type
        if all(factor == 1.0 for factor in by_input) or kind == TensorProto.STRING:
            continue
        for node in proto.graph.node:
            for place, name in enumerate(node.input):
                if name == item.name:
                    node.input[place] = f"{item.name}/converted"
        value = numpy_helper.from_array(1.0 / np.array(by_input, dtype=np.float64), f"{item.name}/factor")
        proto.graph.initializer.append(value)
        steps = [("Cast", [item.name], {"to": DOUBLE}), ("Mul", ["{}", value.name], {}), ("Cast", ["{}"], {"to": kind})]
        if kind == INT64:
            steps.insert(2, ("Round", ["{}"], {}))
        last = item.name
        for number, (operator, names, how) in enumerate(steps):
            output = f"{item.name}/converted" if number == len(steps) - 1 else f"{item.name}/step{number}"
            converting.append(helper.make_node(operator, [name.format(last) for name in names], [output], **how))
            last = output
    nodes = [*converting, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def answering_graph(source: OnnxSource) -> tuple[ModelProto, str]:
    """Return the whole graph of a file, and the tensor in it that is its answer."""
    proto = _decoded(source)
    return proto, _answer_of(proto, {output: node for node in proto.graph.node for output in node.output})


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
    while node is not None and node.op_type in (*ONLY_SHAPE, "Normalizer"):
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


def _weighted_sum(proto: ModelProto) -> tuple[str, Array] | None:
    """Return the tensor of columns of which the answer is the sum with these weights [K], plus a constant."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
    node = producers.get(proto.graph.output[0].name)
    while node is not None and node.op_type in (*ONLY_SHAPE, "Cast", "Add"):
        parts = [name for name in node.input[:2] if name not in constants]
        if node.op_type == "Add" and (len(parts) != 1 or constants[(set(node.input) - set(parts)).pop()].size != 1):
            return None
        node = producers.get(parts[0])
    if node is None or node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
        return None
    weights = np.asarray(constants[node.input[1]], dtype=np.float64)
    how = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    is_plain = set(node.input[2:]) <= constants.keys() and not how.get("transA") and how.get("alpha", 1.0) == 1.0
    return (node.input[0], weights.ravel()) if is_plain and weights.size == max(weights.shape) else None


def _type_of(proto: ModelProto, name: str) -> int:
    declared = (item.type.tensor_type.elem_type for item in proto.graph.output if item.name == name)
    return next(declared, TensorProto.FLOAT)
