"""Errors of the published equations.

ModelError
├── UnknownEquation       no equation of that name
├── EquationMisdeclared   a module of models_onnx/equations contradicts itself
├── VectorsRefused        a file of test vectors that cannot be read
└── EquationRefused       one calculation that gives no value: a reason code, a sentence, the inputs it is about
"""

from typing import Literal

from models_onnx.errors import ModelError

Reason = Literal["input-missing", "input-unusable", "out-of-range", "outside-population", "excluded"]


class UnknownEquation(ModelError):
    """No equation of that name; the message lists the known ones."""


class EquationMisdeclared(ModelError):
    """A declaration that contradicts itself."""


class VectorsRefused(ModelError):
    """A file that is not in the format of shared/data/equations."""


class EquationRefused(ModelError):
    """No value for these inputs, and why; nothing is ever clamped into range."""

    def __init__(self, reason: Reason, text: str, inputs: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.reason: Reason = reason
        self.text = text
        self.inputs = inputs
