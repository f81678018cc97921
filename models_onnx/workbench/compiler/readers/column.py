"""A column as it stands behind some steps of scikit-learn's preprocessing, and the inputs by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.piecewise import Curve

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it stands after some steps: which input it comes from, and its curve.

    `fill`: a text that an imputer put where the input is missing. A column of text has the identity curve of its codes.
    `coded`: a text that an encoder made a number.
    """

    input: int
    curve: Curve
    fill: str | None = None
    coded: bool = False

    @property
    def as_it_is(self) -> bool:
        """Whether it is the input, unchanged where it is given."""
        return self.curve.straight and self.curve.line == (1.0, 0.0)


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
