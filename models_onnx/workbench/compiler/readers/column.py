"""A column as it stands behind some steps of scikit-learn's preprocessing, and the inputs by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_curves import Stage
from models_onnx.workbench.compiler.families.functions import SAME, Function
from models_onnx.workbench.compiler.families.piecewise import Curve

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it stands after some steps: which input it comes from, and its curve.

    `fill`: a text that an imputer put where the input is missing. A column of text has the identity curve of its codes.
    `through`: what the input passes before the curve, where a function that is no polynomial is among it. `coded`: a
    text that an encoder made a number.
    """

    input: int
    curve: Curve
    fill: str | None = None
    through: tuple[Stage, ...] = ()
    coded: bool = False

    @property
    def as_it_is(self) -> bool:
        """Whether it is the input, unchanged where it is given."""
        return not self.through and self.curve.straight and self.curve.line == (1.0, 0.0)

    def of_function(self, function: Function) -> "Column":
        """Returns the function of this column."""
        if self.curve.coefficients.shape[1] == 1:
            values = function.values(self.curve.coefficients[:, 0])
            missing = float(function.values(np.array([self.curve.missing]))[0])
            return replace(self, curve=Curve.steps(self.curve.breaks.tolist(), values.tolist(), missing))
        return replace(self, curve=Curve.identity(), through=(*self.through, Stage(self.curve, function)))

    def of_curve(self, curve: Curve) -> "Column":
        """Returns the curve of this column; it says nothing about what is missing."""
        if self.curve.coefficients.shape[1] == 1:
            return replace(self, curve=curve.of_steps(self.curve))
        before = () if self.as_it_is and np.isnan(self.curve.missing) else (Stage(self.curve, SAME),)
        return replace(self, curve=curve, through=(*self.through, *before))


@dataclass(slots=True)
class Inputs:
    """The inputs by name; `categories` gives the texts of a text input, whose position in it is the input's value.

    `gone` is what stands for a missing text in the caller's rows.
    """

    names: tuple[str, ...]
    text: frozenset[str]
    categories: dict[str, tuple[str, ...]]
    gone: Any = NAN

    def start(self) -> list[Column]:
        """Returns each input as it is."""
        return [Column(j, Curve.identity()) for j in range(len(self.names))]


def refuse_text(step: Any, columns: Sequence[Column], inputs: Inputs) -> None:
    """Refuses texts that no encoder has made numbers."""
    if texts := sorted({inputs.names[column.input] for column in columns if not column.coded} & inputs.text):
        raise CompileRefused(f"{type(step).__name__} is fed the text of {', '.join(texts)}; encode it first")
