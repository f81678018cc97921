"""An ONNX file of a linear model, or of trees, behind simple preparation: read as exact terms of its inputs.

Each column between two operators is followed as a sum of curves of single inputs. Where every operator keeps it one,
the model is explained input by input, however many inputs there are. What is read is compared with what the file
answers; a file that is read in another way, or not at all, is explained by groups of its inputs (families/grouped.py).

Read: Imputer, Scaler, OneHotEncoder and LabelEncoder of codes and texts, Concat, FeatureVectorizer, Gather, Reshape and
the like, sums and products with constants, MatMul and Gemm with constants, LinearClassifier, LinearRegressor, Sigmoid,
Softmax, and TreeEnsembleClassifier or -Regressor of inputs, perhaps imputed and scaled.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from models_onnx.errors import CompileRefused
from models_onnx.serving.runtime import RUN_ERRORS
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree, at_most
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel, Link
from models_onnx.workbench.compiler.readers.network import ONLY_SHAPE

Array = NDArray[np.float64]
NAN = float("nan")
# What single precision may change of a probability.
_AGREES = 1e-5
_PEOPLE = 2000


class _NotRead(Exception):
    """An operator does something that is no sum of curves of single inputs."""


@dataclass(frozen=True, slots=True)
class Sum:
    """start + the curves, each of the input at its position."""

    start: float = 0.0
    curves: Mapping[int, Curve] = field(default_factory=dict)

    def scaled(self, slope: float, intercept: float = 0.0) -> "Sum":
        return Sum(slope * self.start + intercept, {j: curve.scaled(slope, 0.0) for j, curve in self.curves.items()})

    def __add__(self, other: "Sum") -> "Sum":
        curves = dict(self.curves)
        for j, curve in other.curves.items():
            curves[j] = curves[j] + curve if j in curves else curve
        return Sum(self.start + other.start, curves)

    @property
    def single(self) -> tuple[int, Curve]:
        """The input and the curve of a column that is made of one input."""
        if len(self.curves) != 1 or self.start:
            raise _NotRead
        return next(iter(self.curves.items()))


@dataclass(frozen=True, slots=True)
class Text:
    """An input that the file takes as text, and the numbers by which its texts are known here."""

    input: int
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Squashed:
    """The logistic function of a margin; of the other class where `complement`."""

    margin: Sum
    complement: bool = False


@dataclass(frozen=True, slots=True)
class OfTrees:
    """What an ensemble of trees answers for the event."""

    ensemble: Ensemble
    missing: tuple[float, ...]


Column = Sum | Text | Squashed | OfTrees
Columns = list[Column]


class FileTerms:
    """Follows the columns of a file from its inputs to its answer.

    `imputed` has the value that the file puts in the place of each missing input, as far as the file was followed.
    """

    def __init__(self, proto: ModelProto, features: Sequence[str], texts: Mapping[int, Mapping[str, float]]) -> None:
        self.imputed: dict[int, float] = {}
        self._names = tuple(features)
        self._tensors: dict[str, Columns] = {}
        self._constants = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
        inputs = [item for item in proto.graph.input if item.name not in self._constants]
        columns: Columns = [
            Text(j, texts[j]) if j in texts else Sum(0.0, {j: Curve.identity()}) for j in range(len(features))
        ]
        if len(inputs) == 1:
            self._tensors[inputs[0].name] = columns
        else:
            self._tensors |= {item.name: [column] for item, column in zip(inputs, columns, strict=False)}
        for node in proto.graph.node:
            self._follow(node)

    def columns(self, tensor: str) -> Columns | None:
        """Return the columns of a tensor; None where it was not read."""
        return self._tensors.get(tensor)

    def _follow(self, node: NodeProto) -> None:
        """Read one operator; what cannot be read has no columns, nor has what is computed from it."""
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.op_type == "Constant":
            self._constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return
        try:
            columns = self._read(node, attributes)
        except (_NotRead, KeyError, IndexError, ValueError, CompileRefused):
            return
        is_classifier = node.op_type.endswith("Classifier")  # its second output is the probabilities
        self._tensors[node.output[1 if is_classifier else 0]] = columns

    def _read(self, node: NodeProto, attributes: Mapping[str, Any]) -> Columns:
        if node.op_type in (*ONLY_SHAPE, "Cast"):
            if attributes.get("to", 1) not in (1, 11):  # as a whole number it would be cut
                raise _NotRead
            return self._tensors[node.input[0]]
        if node.op_type in ("Concat", "FeatureVectorizer"):
            return [column for name in node.input for column in self._tensors[name]]
        if node.op_type in ("Gather", "ArrayFeatureExtractor"):
            columns = self._tensors[node.input[0]]
            return [columns[int(position)] for position in self._constants[node.input[1]].ravel()]
        if node.op_type in _ARITHMETIC:
            return self._arithmetic(node)
        if node.op_type in ("MatMul", "Gemm"):
            return self._product(node, attributes)
        if node.op_type == "Imputer":
            return self._impute(self._tensors[node.input[0]], attributes)
        reader = _OPERATORS.get(node.op_type)
        if reader is None:
            raise _NotRead
        return reader(self._tensors[node.input[0]], attributes)

    def _arithmetic(self, node: NodeProto) -> Columns:
        sides: list[Any] = [self._tensors.get(name, self._constants.get(name)) for name in node.input]
        count = max(len(side) if isinstance(side, list) else np.size(side) for side in sides)
        left, right = (_as_columns(side, count) for side in sides)
        return [_ARITHMETIC[node.op_type](a, b) for a, b in zip(left, right, strict=True)]

    def _product(self, node: NodeProto, attributes: Mapping[str, Any]) -> Columns:
        if attributes.get("transA", 0):
            raise _NotRead
        matrix = np.asarray(self._constants[node.input[1]], dtype=np.float64)
        matrix = attributes.get("alpha", 1.0) * (matrix.T if attributes.get("transB", 0) else matrix)
        columns = [_weighed(self._tensors[node.input[0]], weights) for weights in matrix.reshape(len(matrix), -1).T]
        if len(node.input) < 3:
            return [*columns]
        added = attributes.get("beta", 1.0) * np.asarray(self._constants[node.input[2]], dtype=np.float64).ravel()
        return [
            column.scaled(1.0, float(start)) for column, start in zip(columns, _broad(added, len(columns)), strict=True)
        ]

    def _impute(self, columns: Columns, attributes: Mapping[str, Any]) -> Columns:
        values = attributes.get("imputed_value_floats", attributes.get("imputed_value_int64s", ()))
        if not np.isnan(attributes.get("replaced_value_float", 0.0)):
            raise _NotRead
        imputed: Columns = []
        for column, value in zip(columns, _broad(np.asarray(values, dtype=np.float64), len(columns)), strict=True):
            j, curve = _sum(column).single
            if curve.straight and curve.line[0]:
                self.imputed.setdefault(j, (float(value) - curve.line[1]) / curve.line[0])
            imputed.append(Sum(0.0, {j: curve.at_missing(float(value))}) if np.isnan(curve.missing) else column)
        return imputed


def read_terms(
    proto: ModelProto,
    answer: str,
    features: Sequence[str],
    texts: Mapping[int, Mapping[str, float]],
    scale: str,
    X: Array,
    whole: NDArray[np.bool_],
) -> FittedModel | None:
    """Return the model as terms of its inputs against the cohort [n, F]; None where the file is no such model.

    `answer` is the tensor of its answer, `scale` whether that is a probability or log odds. Trees cannot be asked
    without an input that is `whole`, a whole number: where it is missing, they are asked with its mean.

    Raises:
        CompileRefused: the trees are too deep for exact contributions.
    """
    columns = FileTerms(proto, features, texts).columns(answer)
    if not columns:
        return None
    last = columns[-1]
    if isinstance(last, OfTrees):
        imputed = np.array(last.missing + (NAN,) * (len(features) - len(last.missing)))
        imputed = np.where(np.isnan(imputed) & whole, np.round(np.nanmean(X, axis=0)), imputed)
        ensemble = last.ensemble.with_missing_replaced(imputed.tolist())
        return ShapleyTrees.of(replace(ensemble, features=tuple(features)), X)
    if isinstance(last, Squashed) and not last.complement and scale == "probability":
        return _additive(last.margin, features, X)
    if isinstance(last, Sum) and scale == "log odds":
        margin = last if len(columns) == 1 else last + _sum(columns[0]).scaled(-1.0)
        return _additive(margin, features, X)
    return None


def agrees(model: FittedModel, answers: Callable[[Array], Array], X: Array) -> bool:
    """Return whether the terms give the probability of the file, for people and with each input missing in turn.

    Where the file itself refuses a row with something missing, the terms are not compared.
    """
    whole = X[~np.isnan(X).any(axis=1)][:_PEOPLE]
    if not len(whole):
        return False
    holes = np.tile(whole[0], (X.shape[1], 1))
    holes[np.diag_indices(X.shape[1])] = NAN
    return _same(model, answers, whole, False) and all(_same(model, answers, hole[None], True) for hole in holes)


def _same(model: FittedModel, answers: Callable[[Array], Array], rows: Array, may_refuse: bool) -> bool:
    own = model.link.probability(model.margin(rows))
    try:
        answered = answers(rows)
    except RUN_ERRORS:
        return may_refuse
    is_answered = np.isfinite(answered)
    return bool(is_answered.all() or may_refuse) and bool((np.abs(own - answered)[is_answered] <= _AGREES).all())


def _additive(margin: Sum, features: Sequence[str], X: Array) -> FittedModel:
    unused = Curve.steps([], [0.0], 0.0)
    curves = [margin.curves.get(j, unused) for j in range(len(features))]
    return AdditiveCurves.centred(features, curves, margin.start, X)


def _sum(column: Column) -> Sum:
    if not isinstance(column, Sum):
        raise _NotRead
    return column


def _as_columns(side: Any, count: int) -> Columns:
    if isinstance(side, list):
        return side if len(side) == count else side * count
    if side is None:
        raise _NotRead
    return [Sum(float(value)) for value in _broad(np.asarray(side, dtype=np.float64).ravel(), count)]


def _broad(values: Array, count: int) -> Array:
    return np.broadcast_to(values, (count,))


def _weighed(columns: Sequence[Column], weights: Array) -> Sum:
    total = Sum()
    for column, weight in zip(columns, weights, strict=True):
        total = total + _sum(column).scaled(float(weight))
    return total


def _minus(a: Column, b: Column) -> Column:
    if isinstance(b, Squashed) and isinstance(a, Sum) and not a.curves and a.start == 1.0:
        return Squashed(b.margin, not b.complement)
    return _sum(a) + _sum(b).scaled(-1.0)


def _times(a: Column, b: Column) -> Column:
    first, second = _sum(a), _sum(b)
    if first.curves and second.curves:
        raise _NotRead
    return first.scaled(second.start) if first.curves else second.scaled(first.start)


def _over(a: Column, b: Column) -> Column:
    if _sum(b).curves:
        raise _NotRead
    return _sum(a).scaled(1.0 / _sum(b).start)


_ARITHMETIC: dict[str, Callable[[Column, Column], Column]] = {
    "Add": lambda a, b: _sum(a) + _sum(b),
    "Sub": _minus,
    "Mul": _times,
    "Div": _over,
}


def _scale(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    offsets, scales = (_broad(np.asarray(attributes[name], np.float64), len(columns)) for name in ("offset", "scale"))
    steps = zip(columns, offsets.tolist(), scales.tolist(), strict=True)
    return [_sum(column).scaled(scale, -scale * offset) for column, offset, scale in steps]


def _one_hot(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    """Return 1 at each code or text; a code is cut to a whole number, as the runtime cuts it."""
    coded: Columns = []
    for column in columns:
        if isinstance(column, Text):
            texts = [item.decode() for item in attributes["cats_strings"]]
            coded += [Sum(0.0, {column.input: _at(column.numbers.get(text))}) for text in texts]
            continue
        j, curve = _sum(column).single
        if not curve.straight or curve.line != (1.0, 0.0):
            raise _NotRead
        coded += [Sum(0.0, {j: _code(float(code), curve.missing)}) for code in attributes["cats_int64s"]]
    return coded


def _at(number: float | None, value: float = 1.0) -> Curve:
    """Return the curve that has a value at exactly this number, and 0 elsewhere and where nothing is recorded."""
    if number is None:
        return Curve.steps([], [0.0], 0.0)
    after = float(np.nextafter(np.float32(number), np.float32(np.inf)))
    return Curve.steps([number, after], [0.0, value, 0.0], 0.0)


def _code(code: float, imputed: float) -> Curve:
    low = code if code > 0 else float(np.nextafter(np.float32(code - 1), np.float32(np.inf)))
    high = code + 1 if code >= 0 else float(np.nextafter(np.float32(code), np.float32(np.inf)))
    return Curve.steps([low, high], [0.0, 1.0, 0.0], 0.0 if np.isnan(imputed) else float(low <= imputed < high))


def _label(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    """Return the number of each text."""
    keys = [key.decode() for key in attributes["keys_strings"]]
    values = attributes.get("values_floats") or attributes["values_int64s"]
    default = float(attributes.get("default_float", attributes.get("default_int64", 0.0)))
    coded: Columns = []
    for column in columns:
        if not isinstance(column, Text):
            raise _NotRead
        total = Sum(default)
        for key, value in zip(keys, values, strict=True):
            total = total + Sum(0.0, {column.input: _at(column.numbers.get(key), float(value) - default)})
        coded.append(total)
    return coded


def _linear_classifier(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    post = attributes.get("post_transform", b"NONE").decode()
    weights = np.asarray(attributes["coefficients"], dtype=np.float64).reshape(-1, len(columns))
    starts = _broad(np.asarray(attributes.get("intercepts", (0.0,)), dtype=np.float64), len(weights))
    scores = [_weighed(columns, row).scaled(1.0, start) for row, start in zip(weights, starts.tolist(), strict=True)]
    if len(scores) > 2 or post not in ("LOGISTIC", "SOFTMAX"):
        raise _NotRead
    margin = scores[-1] + scores[0].scaled(-1.0) if post == "SOFTMAX" and len(scores) == 2 else scores[-1]
    return [Squashed(margin, complement=True), Squashed(margin)]


def _linear_regressor(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    if attributes.get("post_transform", b"NONE") != b"NONE":
        raise _NotRead
    weights = np.asarray(attributes["coefficients"], dtype=np.float64).reshape(-1, len(columns))
    starts = _broad(np.asarray(attributes.get("intercepts", (0.0,)), dtype=np.float64), len(weights))
    return [_weighed(columns, row).scaled(1.0, start) for row, start in zip(weights, starts.tolist(), strict=True)]


def _sigmoid(columns: Columns, _attributes: Mapping[str, Any]) -> Columns:
    return [Squashed(_sum(column)) for column in columns]


def _softmax(columns: Columns, _attributes: Mapping[str, Any]) -> Columns:
    if len(columns) != 2:
        raise _NotRead
    margin = _sum(columns[1]) + _sum(columns[0]).scaled(-1.0)
    return [Squashed(margin, complement=True), Squashed(margin)]


def _less_than(threshold: float) -> np.float32:
    """Return the float32 below the threshold: `x <= it` decides for every float32 x as `x < threshold` does."""
    below: np.float32 = np.nextafter(np.float32(threshold), np.float32(-np.inf))
    return below


_BRANCHES: dict[bytes, Callable[[float], np.float32]] = {b"BRANCH_LEQ": at_most, b"BRANCH_LT": _less_than}


def _trees(columns: Columns, attributes: Mapping[str, Any]) -> Columns:
    """Return the trees on inputs, as they are or scaled; what was put for a missing value decides where it goes."""
    owners, missing, lines = [], [], []
    for column in columns:
        total = _sum(column)
        ((j, curve),) = total.curves.items()
        if not curve.straight or not curve.line[0] > 0:
            raise _NotRead
        slope, intercept = curve.line[0], curve.line[1] + total.start
        owners.append(j)
        missing.append((curve.missing + total.start - intercept) / slope)
        lines.append((slope, intercept))
    post = attributes.get("post_transform", b"NONE")
    if post not in (b"NONE", b"LOGISTIC") or attributes.get("aggregate_function", b"SUM") != b"SUM":
        raise _NotRead
    kind = "class" if "class_ids" in attributes else "target"
    event = max(attributes[f"{kind}_ids"])
    if event > 1:
        raise _NotRead
    values: dict[tuple[int, int], float] = defaultdict(float)
    targets = (attributes[f"{kind}_{name}"] for name in ("treeids", "nodeids", "ids", "weights"))
    for tree, node, target, weight in zip(*targets, strict=True):
        if target == event:
            values[tree, node] += weight
    start = float(sum(attributes.get("base_values", ())[-1:]))
    link: Link = LOGIT if post == b"LOGISTIC" else IDENTITY
    per_input = dict(zip(owners, missing, strict=True))
    whole = tuple(per_input.get(j, NAN) for j in range(max(owners) + 1))
    ensemble = Ensemble(
        tuple(map(str, range(len(whole)))), tuple(_tree_of(attributes, values, owners, lines)), start, link
    )
    return [OfTrees(ensemble, whole)]


def _tree_of(
    attributes: Mapping[str, Any],
    values: Mapping[tuple[int, int], float],
    owners: Sequence[int],
    lines: Sequence[tuple[float, float]],
) -> list[Tree]:
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    rows = list(zip(*(attributes[f"nodes_{name}"] for name in names), strict=True))
    tracks = attributes.get("nodes_missing_value_tracks_true") or [0] * len(rows)
    by_tree: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row, left in zip(rows, tracks, strict=True):
        by_tree[row[0]].append((*row, left))
    trees = []
    for number, nodes in by_tree.items():
        if any(node[3] not in (b"LEAF", *_BRANCHES) for node in nodes):
            raise _NotRead
        position = {node[1]: place for place, node in enumerate(nodes)}
        is_leaf = np.array([node[3] == b"LEAF" for node in nodes])

        def child(node: tuple[Any, ...], side: int, position: Mapping[int, int] = position) -> int:
            return 0 if node[3] == b"LEAF" else position[node[side]]

        def threshold(node: tuple[Any, ...]) -> np.float32:
            asked, (slope, intercept) = _BRANCHES.get(node[3], at_most)(node[4]), lines[node[2]]
            return asked if (slope, intercept) == (1.0, 0.0) else at_most((float(asked) - intercept) / slope)

        trees.append(
            Tree(
                feature=np.where(is_leaf, LEAF, [owners[node[2]] for node in nodes]).astype(np.int64),
                threshold=np.array([threshold(node) for node in nodes], dtype=np.float32),
                left=np.array([child(node, 5) for node in nodes], dtype=np.int64),
                right=np.array([child(node, 6) for node in nodes], dtype=np.int64),
                nan_left=np.array([bool(node[7]) for node in nodes]),
                value=np.array([values.get((number, node[1]), 0.0) for node in nodes], dtype=np.float64),
            )
        )
    return trees


_OPERATORS: dict[str, Callable[[Columns, Mapping[str, Any]], Columns]] = {
    "Scaler": _scale,
    "OneHotEncoder": _one_hot,
    "LabelEncoder": _label,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "TreeEnsembleClassifier": _trees,
    "TreeEnsembleRegressor": _trees,
}
