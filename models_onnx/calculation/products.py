"""Equations that are products of functions of one input each: additive on the log scale."""

from collections.abc import Callable, Iterable, Mapping
from math import log

from models_onnx.calculation.result import Contribution, Value, Working


def work_product(
    formula: Callable[[Mapping[str, Value]], float],
    inputs: Iterable[str],
    values: Mapping[str, Value],
    reference: Mapping[str, Value],
) -> Working:
    """The value of the formula; each input's part is the logarithm of what it multiplies the reference's value by.

    Exact where the formula is a product of functions of one input each; inputs that are not named must be the same in
    both (the sex that picks a constant).
    """
    base = formula(reference)
    parts = tuple(
        Contribution(name, values[name], log(formula({**reference, name: values[name]}) / base)) for name in inputs
    )
    return Working(formula(values), "log", log(base), parts)
