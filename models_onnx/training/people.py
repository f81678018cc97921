"""The rows that one fit sees: inputs, outcomes, whom they are compared with, what is declared of the inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.spec import Input
from models_onnx.training.follow_up import Observed

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class People:
    """Inputs X [n, F] of `inputs`, what was observed, and the `reference` rows with whom contributions compare."""

    inputs: tuple[Input, ...]
    X: Array
    observed: Observed
    reference: NDArray[np.bool_]

    @property
    def weight(self) -> Array:
        """How many people each row speaks for."""
        return self.observed.weight

    @property
    def knots(self) -> list[tuple[float, ...] | None]:
        """Declared knots of each input."""
        return [item.knots for item in self.inputs]
