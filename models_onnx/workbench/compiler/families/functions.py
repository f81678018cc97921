"""Functions of one input that are no polynomials: logarithms, roots, power transforms, normal quantiles.

`Function` says the same in numpy and in a graph, in float64. Where a function gives no finite number the result is NaN,
which the next step treats as missing: the logarithm of nothing is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.graph import Graph

Array = NDArray[np.float64]
# The runtime computes logarithms and exponentials several at a time and the remaining ones singly, a bit apart: each
# row has a multiple of eight of them, so that it gets the same bits alone and in any batch.
_AT_ONCE = 8
# Below this a power is its limit, the logarithm: x ** 1e-10 - 1 would have lost all its digits.
_NO_POWER = 1e-9
# scikit-learn's QuantileTransformer clips normal quantiles here (BOUNDS_THRESHOLD less one rounding).
_CLIP = 5.199337582605575
_RATE = {"log": 1.0, "log2": 1.0 / np.log(2.0), "log10": 1.0 / np.log(10.0)}


@dataclass(frozen=True, slots=True)
class Function:
    """One function by its kind; `parameter` is the power (lambda) of a power transform."""

    kind: str
    parameter: float = 0.0

    def values(self, x: Array) -> Array:
        """Returns the function of each x; NaN where it gives no finite number."""
        with np.errstate(all="ignore"):
            computed = np.asarray(_NUMPY[self.kind](np.asarray(x, dtype=np.float64), self.parameter), dtype=np.float64)
        return np.where(np.isfinite(computed), computed, np.nan)


SAME = Function("same")


def numpy_function(func: Any) -> Function:
    """Returns the function that a FunctionTransformer was given.

    Raises:
        CompileRefused: it is none of those that are compiled.
    """
    name = getattr(func, "__name__", "")
    if name in _BY_NAME and type(func).__name__ == "ufunc":
        return Function(name)
    raise CompileRefused(
        f"FunctionTransformer({name or func!r}) is not compiled: what the function does cannot be read. Use one of "
        f"numpy's {', '.join(_BY_NAME)}, PowerTransformer or SplineTransformer, or make the result a feature of its own"
    )


def write_functions(graph: Graph, columns: str, functions: Sequence[Function]) -> str:
    """Writes one function for each of the columns [N, K]; functions of a kind are computed together."""
    kinds = list(dict.fromkeys(function.kind for function in functions))
    parts, order = [], []
    for kind in kinds:
        columns_of_kind = [position for position, function in enumerate(functions) if function.kind == kind]
        padded = columns_of_kind + [columns_of_kind[-1]] * (-len(columns_of_kind) % _AT_ONCE)
        with graph.under(f"{kind}/"):
            picked = graph.node("Gather", [columns, graph.constant("of", padded, np.int64)], "picked", axis=1)
            powers = np.array([functions[position].parameter for position in padded])
            parts.append(_WRITERS[kind](_Writer(graph), picked, powers))
        order += columns_of_kind + [-1] * (len(padded) - len(columns_of_kind))
    joined = parts[0] if len(parts) == 1 else graph.node("Concat", parts, "of_kinds", axis=1)
    places = [order.index(position) for position in range(len(functions))]
    values = graph.node("Gather", [joined, graph.constant("in_order", places, np.int64)], "found", axis=1)
    endless = graph.node("IsInf", [values], "endless")
    return graph.node("Where", [endless, graph.constant("unknown", np.nan, np.float64), values], "functions")


@dataclass(slots=True)
class _Writer:
    """Operators with numbered names."""

    graph: Graph
    count: int = 0

    def __call__(self, operator: str, *inputs: Any) -> str:
        """The operator; a number or an array among its inputs becomes a constant."""
        self.count += 1
        names = [
            value if isinstance(value, str) else self.graph.constant(f"c{self.count}_{position}", value, np.float64)
            for position, value in enumerate(inputs)
        ]
        return self.graph.node(operator, names, f"n{self.count}")

    def where(self, condition: Any, there: str, otherwise: str) -> str:
        """Column by column, as a constant says."""
        self.count += 1
        chosen = self.graph.constant(f"c{self.count}", condition, np.bool_)
        return self.graph.node("Where", [chosen, there, otherwise], f"n{self.count}")

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """Horner's rule, the highest power first."""
        total = self("Mul", x, coefficients[0])
        for coefficient in coefficients[1:-1]:
            total = self("Mul", self("Add", total, coefficient), x)
        return self("Add", total, coefficients[-1])


def _power(write: _Writer, base: str, powers: Array) -> str:
    """(base ** power - 1) / power; its limit, the logarithm, where the power is nothing."""
    limit = np.abs(powers) < _NO_POWER
    some = np.where(limit, 1.0, powers)
    raised = write("Div", write("Sub", write("Pow", base, some), 1.0), some)
    return raised if not limit.any() else write.where(limit, write("Log", base), raised)


def _power_numpy(base: Array, power: float) -> Array:
    return np.log(base) if abs(power) < _NO_POWER else (base**power - 1.0) / power


def _write_yeo_johnson(write: _Writer, x: str, powers: Array) -> str:
    above = _power(write, write("Add", write("Max", x, 0.0), 1.0), powers)
    under = _power(write, write("Sub", 1.0, write("Min", x, 0.0)), 2.0 - powers)
    return write("Sub", above, under)


def _yeo_johnson(x: Array, power: float) -> Array:
    above = _power_numpy(np.maximum(x, 0.0) + 1.0, power)
    return np.asarray(above - _power_numpy(1.0 - np.minimum(x, 0.0), 2.0 - power))


def _write_arcsinh(write: _Writer, x: str, _powers: Array) -> str:
    size = write("Abs", x)
    root = write("Sqrt", write("Add", write("Mul", x, x), 1.0))
    return write("Mul", write("Sign", x), write("Log", write("Add", size, root)))


def _normal_quantile(p: Array, _power: float) -> Array:
    from scipy.special import ndtri

    return np.asarray(np.where(np.isnan(p), np.nan, np.clip(ndtri(np.clip(p, 0.0, 1.0)), -_CLIP, _CLIP)))


# Wichura 1988, algorithm AS 241 (PPND16): the normal quantile to 1 part in 10^16. Highest power first.
_A = (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
      13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608)  # fmt: skip
_B = (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
      5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0)  # fmt: skip
_C = (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
      3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734)  # fmt: skip
_D = (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
      0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0)  # fmt: skip
_E = (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
      0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772)  # fmt: skip
_F = (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
      0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0)  # fmt: skip


def _write_normal_quantile(write: _Writer, p: str, _powers: Array) -> str:
    inside = write("Min", write("Max", p, 0.0), 1.0)
    q = write("Sub", inside, 0.5)
    r = write("Sub", 0.180625, write("Mul", q, q))
    middle = write("Mul", q, write("Div", write.polynomial(r, _A), write.polynomial(r, _B)))
    smaller = write("Max", write("Min", inside, write("Sub", 1.0, inside)), 1e-300)
    root = write("Sqrt", write("Neg", write("Log", smaller)))
    near, far = write("Sub", root, 1.6), write("Sub", root, 5.0)
    near = write("Div", write.polynomial(near, _C), write.polynomial(near, _D))
    far = write("Div", write.polynomial(far, _E), write.polynomial(far, _F))
    tail = write("Mul", write("Sign", q), write("Where", write("LessOrEqual", root, 5.0), near, far))
    quantile = write("Where", write("LessOrEqual", write("Abs", q), 0.425), middle, tail)
    return write("Min", write("Max", quantile, -_CLIP), _CLIP)


_NUMPY: dict[str, Callable[[Array, float], Array]] = {
    "same": lambda x, _: x,
    "log": lambda x, _: np.log(x),
    "log2": lambda x, _: np.log2(x),
    "log10": lambda x, _: np.log10(x),
    "log1p": lambda x, _: np.log1p(x),
    "sqrt": lambda x, _: np.sqrt(x),
    "square": lambda x, _: np.square(x),
    "exp": lambda x, _: np.exp(x),
    "expm1": lambda x, _: np.expm1(x),
    "reciprocal": lambda x, _: np.reciprocal(x),
    "absolute": lambda x, _: np.abs(x),
    "arcsinh": lambda x, _: np.arcsinh(x),
    "tanh": lambda x, _: np.tanh(x),
    "yeo-johnson": _yeo_johnson,
    "box-cox": _power_numpy,
    "normal quantile": _normal_quantile,
}
_BY_NAME = tuple(kind for kind in _NUMPY if kind not in ("same", "yeo-johnson", "box-cox", "normal quantile"))

_WRITERS: dict[str, Callable[[_Writer, str, Array], str]] = {
    "same": lambda write, x, _: write("Identity", x),
    "log1p": lambda write, x, _: write("Log", write("Add", x, 1.0)),
    "sqrt": lambda write, x, _: write("Sqrt", x),
    "square": lambda write, x, _: write("Mul", x, x),
    "exp": lambda write, x, _: write("Exp", x),
    "expm1": lambda write, x, _: write("Sub", write("Exp", x), 1.0),
    "reciprocal": lambda write, x, _: write("Div", 1.0, x),
    "absolute": lambda write, x, _: write("Abs", x),
    "arcsinh": _write_arcsinh,
    "tanh": lambda write, x, _: write("Tanh", x),
    "yeo-johnson": _write_yeo_johnson,
    "box-cox": _power,
    "normal quantile": _write_normal_quantile,
    **{
        name: lambda write, x, _, rate=rate: write("Mul", write("Log", x), rate)  # type: ignore[misc]  # one more, given
        for name, rate in _RATE.items()
    },
}
