"""Invented people for the compiler's tests: numbers, gaps, values on a grid; and what a compiled file says of rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models_onnx.workbench.compiler import compile_fitted, read_model
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve
from models_onnx.workbench.compiler.link import LOGIT, FittedModel, Link
from models_onnx.workbench.compiler.parity import Agreement, proof_rows
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.reference import build_reference

Array = NDArray[np.float64]
NAMES = ("age", "lab", "pressure", "weight", "count")


def invented(people: int = 600, gaps: float = 0.1, seed: int = 3, grid: int | None = 2) -> tuple[Array, NDArray[Any]]:
    """Inputs [n, 5] that are float32 exactly, with gaps, and an outcome that they drive together."""
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(people, 5))
    X[:, 4] = draw.integers(0, 4, people)
    margin = X[:, 0] * X[:, 1] + X[:, 2] + 0.5 * X[:, 4] - 0.8
    y = (draw.random(people) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    if grid is not None:
        X = X.round(grid)
    X = X.astype(np.float32).astype(np.float64)
    X[draw.random(X.shape) < gaps] = np.nan
    return X, y


class BrokenLine(NamedTuple):
    """A line that is flat below its first knot and above its top."""

    feature: str
    knots: tuple[float, ...]
    weights: tuple[float, ...]
    centre: float
    top: float
    high: float


def piecewise(lines: Iterable[BrokenLine], base: float, link: Link = LOGIT) -> AdditiveCurves:
    """A model of broken lines, one for each input."""
    lines = tuple(lines)
    curves = tuple(Curve.broken_line(line.knots, line.weights, line.top, line.centre) for line in lines)
    low, high = tuple(line.knots[0] for line in lines), tuple(line.high for line in lines)
    return AdditiveCurves(tuple(line.feature for line in lines), curves, base, low, high, link)


def says(content: bytes, X: Array) -> dict[str, NDArray[Any]]:
    """Every output of the file for these rows."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    with np.errstate(over="ignore"):
        told = session.run(names, {"features": X.astype(np.float32)})
    return dict(zip(names, (np.asarray(each) for each in told), strict=True))


def beside(X: Array, edges: tuple[tuple[float, ...], ...], infinite: bool = True, missing: bool = True) -> Array:
    """Rows of X with one value put on, one float32 below and one above each edge; and what breaks readers."""
    draw = np.random.default_rng(1)
    odd = [0.0, -0.0, 1e-35, -1e-35, 1e-36, -1e-36, 2e-35, -2e-35]
    odd += [np.inf, -np.inf] if infinite else []
    odd += [np.nan] if missing else []
    rows = []
    for j, own in enumerate(edges):
        for edge in own:
            at = np.float32(edge)
            around = (at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf)))
            rows += [_with(X[draw.integers(len(X))], j, float(value)) for value in around if np.isfinite(value)]
        rows += [_with(X[draw.integers(len(X))], j, value) for value in odd for _ in range(5)]
    return np.array(rows).astype(np.float32).astype(np.float64)


def _with(row: Array, column: int, value: float) -> Array:
    changed = row.copy()
    changed[column] = value
    return changed


def by_coalitions(margin: Any, x: Array, background: Array) -> Array:
    """Interventional Shapley values of one row by their definition: every coalition, the whole background."""
    count = len(x)
    coalitions = [own for size in range(count + 1) for own in combinations(range(count), size)]
    mixed = np.tile(background, (len(coalitions), 1, 1))
    for number, coalition in enumerate(coalitions):
        mixed[number][:, list(coalition)] = x[list(coalition)]
    told = np.asarray(margin(mixed.reshape(-1, count))).reshape(len(coalitions), -1)
    worth = dict(zip(coalitions, told.mean(axis=1).tolist(), strict=True))
    found = np.zeros(count)
    for coalition, value in worth.items():
        for j in set(range(count)) - set(coalition):
            gain = worth[tuple(sorted((*coalition, j)))] - value
            found[j] += gain / (count * comb(count - 1, len(coalition)))
    return found


@dataclass(frozen=True, slots=True)
class File:
    """A compiled file with what it was made of and how well it agrees."""

    content: bytes
    fitted: FittedModel
    agreement: Agreement


def exported(model: Any, names: Sequence[str] = ()) -> OnnxSource:
    """A fitted object of scikit-learn as skl2onnx writes it: columns of a data frame by their names, else one table."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    own = tuple(map(str, getattr(model, "feature_names_in_", ())))
    shapes = [(name, FloatTensorType([None, 1])) for name in own]
    shapes = shapes or [("features", FloatTensorType([None, model.n_features_in_]))]
    proto = to_onnx(model, initial_types=shapes, options={id(model): {"zipmap": False}}, target_opset=OPSETS)
    return OnnxSource(type(model).__name__, proto.SerializeToString(), columns=own or tuple(names))


OPSETS = {"": 18, "ai.onnx.ml": 3}


def compiled(model: Any, rows: Any, *, outcomes: Any = None, features: Any = None, groups: Any = None) -> File:
    """The steps of the workbench that lead from a fitted model and its reference cohort to a proven file."""
    if hasattr(rows, "columns"):
        features, rows = list(rows.columns), rows.to_numpy(dtype=float)
    names = tuple(features or (f"x{number}" for number in range(rows.shape[1])))
    source = exported(model, names) if hasattr(model, "predict_proba") else model
    X = np.asarray(rows, dtype=np.float64)
    fitted = read_model(source, X, names, groups or {})
    y = np.arange(len(X)) % 2 if outcomes is None else np.asarray(outcomes, dtype=np.int64)
    margin = fitted.margin(X)
    reference = build_reference(margin, margin, y, np.ones(len(X)), fitted.link)

    def oracle(X: Array) -> tuple[Array, Array]:
        return fitted.link.probability(fitted.margin(X)), fitted.contributions(X)

    content, agreement = compile_fitted("m", fitted, reference, {}, oracle, proof_rows(X, fitted))
    return File(content, fitted, agreement)
