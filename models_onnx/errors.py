"""Errors of the prediction floor.

ModelError
├── DeclarationError      a file that declares a model, an equation, a service … is wrong: file, line, what is wrong
├── UnknownModel          no specification, or no artifact, of that name
├── UnknownEquation       no equation of that name
├── EquationRefused       one calculation that gives no value: a reason code, a sentence, the inputs it is about
├── ArtifactRefused       an artifact folder that is not served
│   ├── ManifestRefused       manifest.json is missing, is not JSON or does not fit its schema
│   ├── HashMismatch          model.onnx is not the file that the manifest is about
│   ├── UnsafeModel           not readable as ONNX, external data, or operators of an unknown domain
│   ├── CardIncomplete        the model card is missing, blank in an attribute, or not the one in the file
│   ├── SignatureRefused      release.json is missing, changed, or signed by a key that is not trusted
├── CompileRefused        the compiled file does not say what the fitted model says
├── WrongShape            a call that does not bring one value per feature
├── ExplanationMismatch   the contributions of a call do not add up: no card, page the operator
├── BatchRefused          a table of people to score that lacks a column or has values nobody declared
└── TrainingRefused       the table is missing, or not of the form the specification names
"""

from typing import ClassVar


class ModelError(Exception):
    """The base class of the errors of this floor."""


class UnknownModel(ModelError):
    """No model of that name; the message lists the known ones."""


class DeclarationError(ModelError):
    """A declaration that is wrong: a specification or an equation that contradicts itself, a file without one.

    `about` is the word of the declaration that is wrong, as it stands in the file; discovery finds its line by it.
    """

    what_cannot_be_used: ClassVar[str] = "A declaration"
    """How a command that it ends begins its sentence."""

    def __init__(self, text: str, about: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.about = about
        self.file = ""
        self.line: int | None = None

    def at(self, file: str, line: int | None) -> "DeclarationError":
        """Return the same error with the place where it is."""
        self.file, self.line = file, line
        return self

    def __str__(self) -> str:
        if not self.file:
            return self.text
        return f"{self.file}{f', line {self.line}' if self.line is not None else ''}: {self.text}"


class ArtifactRefused(ModelError):
    """An artifact folder that is not served."""

    what_cannot_be_used: ClassVar[str] = "A model"
    """How a command that it ends begins its sentence."""


class ManifestRefused(ArtifactRefused):
    """The manifest is missing, unreadable, or has a member of another type."""


class HashMismatch(ArtifactRefused):
    """The model file is not the one whose sha256 the manifest gives."""


class UnsafeModel(ArtifactRefused):
    """Not an ONNX file we run: unreadable, external data, or operators outside ai.onnx and ai.onnx.ml."""


class CardIncomplete(ArtifactRefused):
    """The model card is missing, leaves an attribute blank, or is not the one inside the model file."""


class SignatureRefused(ArtifactRefused):
    """The release is not signed, was changed after it was signed, or was signed by a key that is not trusted here."""

    what_cannot_be_used: ClassVar[str] = "A signature or key file"


class CompileRefused(ModelError):
    """The compiled file does not say what the fitted model says."""


class WrongShape(ModelError):
    """The call does not bring one value per feature."""


class ExplanationMismatch(ModelError):
    """The contributions of this call do not add up to its margin."""


class TrainingRefused(ModelError):
    """The training table is missing or not of the form the specification names."""


class BatchRefused(ModelError):
    """A table of people to score that lacks a column, or has values in a coding or unit that nobody declared."""


class UnknownEquation(ModelError):
    """No equation of that name; the message lists the known ones."""


class EquationRefused(ModelError):
    """No value for these inputs, and why; nothing is ever clamped into range.

    The reasons are input-missing, input-unusable, out-of-range, outside-population and excluded.
    """

    def __init__(self, reason: str, text: str, inputs: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.inputs = inputs
