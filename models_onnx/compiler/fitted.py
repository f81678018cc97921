"""What the compiler asks of a fitted model: how its terms are written into a graph. One file per family of models.

PiecewiseLinear      broken lines (logistic and Cox)             piecewise.py
PiecewisePolynomial  what scikit-learn's linear pipelines are    polynomial.py
AdditiveTrees        EBM, stumps: one tree per term              additive_trees.py
ShapleyTrees         boosted trees and forests to depth 4        shapley_trees.py
"""

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import Graph
from models_onnx.compiler.link import Link


class FittedModel(Protocol):
    """A model whose margin is base + sum of one contribution per input, and whose link gives the probability."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the vector."""
        ...

    @property
    def base(self) -> float:
        """Margin of the reference: what is predicted where every contribution is 0."""
        ...

    @property
    def link(self) -> Link:
        """From margin to probability."""
        ...

    @property
    def low(self) -> tuple[float, ...]:
        """Lowest value of each input in training."""
        ...

    @property
    def high(self) -> tuple[float, ...]:
        """Highest value of each input in training; infinite where higher values are scored as the highest."""
        ...

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Values of each input at which the model bends or steps: where a proof must look."""
        ...

    def contributions(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The contributions [N, F] in numpy, without the graph."""
        ...

    def margin(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The margin [N] in numpy, without the graph."""
        ...

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """The same model with margin = intercept + slope * margin; contributions stay exact."""
        ...

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes the terms; `features` is float32 [N, F] with NaN, `missing` bool [N, F]; gives a float64 [N, F]."""
        ...
