"""What the compiler asks of a fitted model: how its terms are written into a graph. One file per family of models."""

from typing import Protocol

from models_onnx.compiler.graph import Graph


class FittedModel(Protocol):
    """A model whose margin is base + sum of one contribution per input."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the vector."""
        ...

    @property
    def base(self) -> float:
        """Margin of the reference: what is predicted where every contribution is 0."""
        ...

    @property
    def low(self) -> tuple[float, ...]:
        """Lowest value of each input in training."""
        ...

    @property
    def high(self) -> tuple[float, ...]:
        """Highest value of each input in training; infinite where higher values are scored as the highest."""
        ...

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes the terms; `features` is float32 [N, F] with NaN, `missing` bool [N, F]; gives a float64 [N, F]."""
        ...
