"""A sequence model of somebody's own: an ONNX network over [N, T, F] with a mask, explained exactly by its quantities.

The inputs are steps of series, quantity by quantity (`heart_rate_1` to `heart_rate_24`, oldest first). The network is
asked once for each subset of the quantities, in one batch: those outside the subset have the mean series of the
reference cohort. From these answers the Shapley values of the quantities follow by their definition, so they are exact
with respect to the mean series. A quantity's value stands at its newest recorded step, which the card then shows.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import load_from_string, version_converter

from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import limits
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, OPSET, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]
MOST_QUANTITIES = 8
EXPLANATION = (
    "The Shapley values of the quantities, exact over all their subsets, against the mean series of the reference "
    "cohort; a quantity's value stands at its newest recorded step."
)
_AT_ONCE = 256
_SMALL = 1e-7
_LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class SequenceFile:
    """A file that holds such a network, and how many steps it takes."""

    path: Path
    steps: int


@dataclass(frozen=True, slots=True)
class SequenceModel:
    """The network, and the mean series [F, T] of the reference cohort; margin = intercept + slope * log odds."""

    content: bytes
    session: onnxruntime.InferenceSession
    features: tuple[str, ...]
    mean: Array
    low: tuple[float, ...]
    high: tuple[float, ...]
    columns: int = 1
    intercept: float = 0.0
    slope: float = 1.0
    link: Link = LOGIT

    @classmethod
    def read(cls, file: SequenceFile, features: tuple[str, ...], X: Array) -> Self:
        """Returns the network of this file against the cohort [n, F * T].

        Raises:
            CompileRefused: It takes other series, too many of them, or gives no probability.
        """
        name, count = file.path.name, len(features) // file.steps
        if len(features) % file.steps or not 1 <= count <= MOST_QUANTITIES:
            raise CompileRefused(
                f"{name}: {len(features)} inputs are no whole series of {file.steps} steps, or of more than "
                f"{MOST_QUANTITIES} quantities, whose subsets are too many to explain: declare each quantity's steps "
                "in turn, oldest first, and fewer quantities"
            )
        content = file.path.read_bytes()
        refuse_unsafe(content)
        low, high = limits(X)
        mean = np.nan_to_num(np.nanmean(X, axis=0)).reshape(count, file.steps)
        try:
            content = _in_our_opset(name, content)
            model = cls(content, _session(content), features, mean, low, high)
            return replace(model, columns=model._columns_of_answer(name))
        except CompileRefused:
            raise
        except Exception as problem:  # onnxruntime has an error class of its own for each way to fail
            sentence = str(problem).strip().splitlines()[0][:_LONGEST_ERROR]
            raise CompileRefused(f"{name} cannot be loaded and run: {sentence}") from problem

    @property
    def base(self) -> float:
        """The margin of the mean series."""
        return float(self.margin(self.mean.reshape(1, -1))[0])

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """None: a network has no steps."""
        return ((),) * len(self.features)

    def margin(self, X: Array) -> Array:
        """Returns the network's log odds, recalibrated."""
        values, recorded = self._series(X)
        return self.intercept + self.slope * self._log_odds(values, recorded)

    def contributions(self, X: Array) -> Array:
        """Returns each quantity's Shapley value at its newest recorded step, 0 at the others."""
        values, recorded = self._series(X)
        odds = [self._log_odds(*self._mixed(values, recorded, subset)) for subset in self._subsets]
        shares = self.slope * np.column_stack(odds) @ self._weights
        return (_newest(recorded) * shares[:, :, None]).reshape(len(X), -1)

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Returns the same network with margin = intercept + slope * margin."""
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes the network with every subset of its quantities, and the Shapley values of its log odds."""
        count, steps = self.mean.shape
        subsets = len(self._subsets)
        low, high = (np.array(ends, dtype=np.float32).reshape(count, steps) for ends in (self.low, self.high))
        zero = graph.constant("zero", 0.0, np.float32)
        shape = graph.constant("by_quantity", [-1, 1, count, steps], np.int64)
        there = graph.node("Reshape", [graph.node("Where", [missing, zero, features], "filled"), shape], "series")
        inside = graph.node("Max", [there, graph.constant("lowest", low, np.float32)], "not_below")
        inside = graph.node("Min", [inside, graph.constant("highest", high, np.float32)], "inside")
        recorded = graph.node(
            "Cast",
            [
                graph.node("Not", [missing], "there"),
            ],
            "there_as_number",
            to=FLOAT,
        )
        recorded = graph.node("Reshape", [recorded, shape], "recorded")
        chosen = np.array(self._subsets, dtype=np.float32).reshape(1, subsets, count, 1)
        batch = graph.constant("batch", [-1, count, steps], np.int64)
        tensors = []
        for name, tensor, other in (
            ("values", graph.node("Mul", [inside, recorded], "recorded_only"), self.mean),
            ("mask", recorded, np.ones_like(self.mean)),
        ):
            chosen_part = graph.node("Mul", [tensor, graph.constant("chosen", chosen, np.float32)], f"own_{name}")
            rest = graph.constant(f"rest_{name}", (1 - chosen) * other.astype(np.float32), np.float32)
            flat = graph.node(
                "Reshape", [graph.node("Add", [chosen_part, rest], f"mixed_{name}"), batch], f"flat_{name}"
            )
            tensors.append(graph.node("Transpose", [flat], f"steps_{name}", perm=[0, 2, 1]))
        answer = graph.include(
            load_from_string(self.content), dict(zip(self._inputs, tensors, strict=False)), "network/"
        )
        answer = graph.node("Cast", [answer], "answer", to=DOUBLE)
        table = graph.node(
            "Reshape", [answer, graph.constant("table", [-1, subsets, self.columns], np.int64)], "answers"
        )
        last = graph.constant("event", self.columns - 1, np.int64)
        risk = graph.node("Gather", [table, last], "risk", axis=2)
        ends = [graph.constant("least", _SMALL, np.float64), graph.constant("most", 1 - _SMALL, np.float64)]
        inner = graph.node("Clip", [risk, *ends], "risk_inside")
        odds = graph.node("Sub", [graph.constant("whole", 1.0, np.float64), inner], "no_risk")
        odds = graph.node("Log", [graph.node("Div", [inner, odds], "odds")], "log_odds")
        weights = graph.constant("weights", self.slope * self._weights, np.float64)
        shares = graph.node("MatMul", [odds, weights], "shares")
        return self._write_newest(graph, shares, missing)

    def _write_newest(self, graph: Graph, shares: str, missing: str) -> str:
        count, steps = self.mean.shape
        shape = graph.constant("of_quantity", [-1, count, steps], np.int64)
        recorded = graph.node(
            "Cast",
            [
                graph.node("Not", [missing], "is_there"),
            ],
            "is_there_as_number",
            to=DOUBLE,
        )
        recorded = graph.node("Reshape", [recorded, shape], "recorded_steps")
        later = graph.node(
            "MatMul",
            [recorded, graph.constant("later", np.tril(np.ones((steps, steps)), -1), np.float64)],
            "later_steps",
        )
        none_later = graph.node("Equal", [later, graph.constant("none", 0.0, np.float64)], "none_later")
        is_last = graph.node("Cast", [none_later], "is_last", to=DOUBLE)
        newest = graph.node("Mul", [recorded, is_last], "newest_recorded")
        some = graph.node("MatMul", [newest, graph.constant("all_steps", np.ones((steps, steps)), np.float64)], "some")
        empty = graph.node("Sub", [graph.constant("one_step", 1.0, np.float64), some], "empty")
        at_end = graph.node("Mul", [empty, graph.constant("end", np.eye(steps)[-1], np.float64)], "at_end")
        step = graph.node("Add", [newest, at_end], "newest")
        wide = graph.node("Unsqueeze", [shares, graph.constant("third_axis", [2], np.int64)], "share_of_quantity")
        spread = graph.node("Mul", [step, wide], "at_newest")
        return graph.node("Reshape", [spread, graph.constant("flat", [-1, count * steps], np.int64)], "of_steps")

    @property
    def _inputs(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.session.get_inputs())

    @property
    def _subsets(self) -> tuple[tuple[float, ...], ...]:
        count = len(self.mean)
        return tuple(tuple(float(number >> bit & 1) for bit in range(count)) for number in range(2**count))

    @property
    def _weights(self) -> Array:
        """The weight of each subset's answer in the Shapley value of each quantity [subsets, F]."""
        count = len(self.mean)
        chosen = np.array(self._subsets)
        size = chosen.sum(axis=1).astype(int).tolist()
        ways = [math.factorial(number) for number in range(count + 1)]
        joins = np.array([ways[n - 1] * ways[count - n] / ways[count] if n else 0.0 for n in size])
        stays = np.array([ways[n] * ways[max(0, count - n - 1)] / ways[count] for n in size])
        return np.asarray(np.where(chosen == 1, joins[:, None], -stays[:, None]))

    def _series(self, X: Array) -> tuple[Array, Array]:
        """Returns values [n, F, T] within the trained range, 0 where missing, and whether each is recorded."""
        seen = np.clip(X.astype(np.float32), *np.array([self.low, self.high], dtype=np.float32)).astype(np.float64)
        recorded = ~np.isnan(seen)
        shape = (len(X), *self.mean.shape)
        return np.where(recorded, seen, 0.0).reshape(shape), recorded.astype(np.float64).reshape(shape)

    def _mixed(self, values: Array, recorded: Array, subset: tuple[float, ...]) -> tuple[Array, Array]:
        chosen = np.array(subset)[:, None]
        return values * chosen + self.mean * (1 - chosen), recorded * chosen + (1 - chosen)

    def _log_odds(self, values: Array, recorded: Array) -> Array:
        parts = range(0, len(values), _AT_ONCE)
        risk = [
            self._run(values[i : i + _AT_ONCE], recorded[i : i + _AT_ONCE]).reshape(-1, self.columns)[:, -1]
            for i in parts
        ]
        inside = np.clip(np.concatenate(risk).astype(np.float64), _SMALL, 1 - _SMALL)
        return np.asarray(np.log(inside / (1 - inside)))

    def _run(self, values: Array, recorded: Array) -> NDArray[Any]:
        tensors = (part.transpose(0, 2, 1).astype(np.float32) for part in (values, recorded))
        return np.asarray(self.session.run(None, dict(zip(self._inputs, tensors, strict=False)))[0])

    def _columns_of_answer(self, name: str) -> int:
        """Returns how many columns the answer has: 1, or 2 where it is of both classes; refuses another network."""
        count, steps = self.mean.shape
        inputs = [(item.name, item.type, item.shape) for item in self.session.get_inputs()]
        fits = 1 <= len(inputs) <= 2 and all(
            kind == "tensor(float)"
            and len(shape) == 3
            and all(
                size is None or isinstance(size, str) or size == n
                for size, n in zip(shape[1:], (steps, count), strict=True)
            )
            for _, kind, shape in inputs
        )
        if not fits:
            raise CompileRefused(
                f"{name} takes {', '.join(f'{n} {kind} {shape}' for n, kind, shape in inputs)}; a sequence model takes "
                f"float32 [N, {steps}, {count}] and, second, a mask of the same shape (1 where recorded)"
            )
        answer = np.asarray(self._run(*self._series(np.vstack([self.low, self.high]))))
        is_table = answer.shape in ((2,), (2, 1), (2, 2))
        if not is_table or not ((answer >= 0) & (answer <= 1)).all():
            kind = "numbers outside 0 to 1" if is_table else "something else"
            raise CompileRefused(
                f"{name} gives {kind} ({list(answer.shape)} for two rows); a probability of each row is needed"
            )
        return answer.size // 2


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _newest(recorded: Array) -> Array:
    """Returns 1 at the newest recorded step of each quantity, at the last step where none is recorded."""
    later = np.cumsum(recorded[:, :, ::-1], axis=2)[:, :, ::-1] - recorded
    newest = recorded * (later == 0)
    newest[:, :, -1] += 1 - newest.sum(axis=2)
    return np.asarray(newest)


def _in_our_opset(name: str, content: bytes) -> bytes:
    try:
        proto = load_from_string(content)
    except DecodeError as problem:
        raise CompileRefused(f"{name} is not a readable ONNX model") from problem
    if any(attribute.HasField("g") for node in proto.graph.node for attribute in node.attribute):
        raise CompileRefused(f"{name} has loops or branches (subgraphs), which are not compiled")
    opset = next((item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")), OPSET)
    if opset == OPSET:
        return content
    try:
        return bytes(version_converter.convert_version(proto, OPSET).SerializeToString())
    except (RuntimeError, ValueError) as problem:
        raise CompileRefused(f"{name} is of opset {opset}: export it with opset {OPSET}") from problem
