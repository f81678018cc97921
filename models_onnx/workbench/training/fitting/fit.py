"""A model of any family as it was fitted: what the compiler writes, and the numbers of its library beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models_onnx.errors import TrainingRefused
from models_onnx.workbench.compiler.families.trees import as_received
from models_onnx.workbench.compiler.link import FittedModel, Link
from models_onnx.workbench.training.data.follow_up import Array


@dataclass(frozen=True, slots=True)
class Fit:
    """`model` is what the compiler writes; `library` gives margin [n] and contributions [n, F] by what fitted it.

    `estimator` is the library's object, None for the declared families. `intercept` and `slope` recalibrate what
    `library` gives; the model is recalibrated already.
    """

    model: FittedModel
    library: Callable[[Array], tuple[Array, Array]]
    estimator: Any = None
    intercept: float = 0.0
    slope: float = 1.0

    @property
    def link(self) -> Link:
        return self.model.link

    def margin(self, X: Array) -> Array:
        return self.model.margin(as_received(X))

    def recalibrated(self, intercept: float, slope: float) -> "Fit":
        """Return the same model with margin = intercept + slope * margin.

        Raises:
            TrainingRefused: its margin is a probability, which no line recalibrates.
        """
        if self.link.name == "identity":
            raise TrainingRefused(
                "the model adds up on the scale of the probability, which a recalibration by a line could take out of "
                "0 to 1: leave `recalibration` out of the declaration"
            )
        model = self.model.recalibrated(intercept, slope)
        return replace(self, model=model, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def oracle(self, X: Array) -> tuple[Array, Array]:
        """Return probability [n] and contributions [n, F] by the library: the compiled file must agree with them."""
        margin, contributions = self.library(X)
        return self.link.probability(np.asarray(self.intercept + self.slope * margin)), self.slope * contributions
