"""The objects that the gates examine: the candidate in its folder, run as the server runs it, and further evidence."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.folder import CARD, MANIFEST, Artifact
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.manifest import Manifest, ModelInput
from models_onnx.errors import ManifestRefused
from models_onnx.serving.runtime import Model, Predictions

Array = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Subject:
    """The candidate. Reading it refuses nothing, because refusing is the task of the gates."""

    folder: Path
    keys: Keys
    content: bytes
    manifest: Manifest
    card: dict[str, Any]
    _model: Model | None = None

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def features(self) -> tuple[ModelInput, ...]:
        return self.manifest.features

    @property
    def product(self) -> dict[str, Any]:
        """The card's content beyond its attributes."""
        content = self.card.get("product")
        return content if isinstance(content, dict) else {}

    @property
    def groups(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Which inputs the file explains together: name and positions of each group; empty where it explains each."""
        groups, names = self.manifest.groups, [item.name for item in self.features]
        if isinstance(groups, msgspec.UnsetType):
            return ()
        return tuple((group, tuple(map(names.index, members))) for group, members in groups.items())

    @property
    def always(self) -> frozenset[str]:
        return frozenset(self.manifest.required.always)

    @property
    def model(self) -> Model:
        """The model as the server runs it; the session is opened once.

        Raises:
            ManifestRefused, *RUN_ERRORS: the file does not run, or is not the one that the manifest describes.
        """
        if self._model is None:
            self._model = Model(Artifact(self.manifest, self.content))
        return self._model

    def answers(self, rows: NDArray[Any]) -> Predictions:
        """Return what the model says of these rows."""
        return self.model.predict_rows(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The result of training the same specification again from its pinned data and seed."""

    same_file: bool
    same_data: bool
    auroc_difference: float
    answers: Callable[[NDArray[Any]], Predictions]
    trained: str = ""
    differences: tuple[str, ...] = ()
    """Where the manifest says another thing than the one that training gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One row per person for the label-choice audit: score, group, and how much the person needs."""

    score: Array
    group: NDArray[Any]
    need: Array
    words: str
    weight: Array | None = None
    axis: str = ""
    """By which groups; empty where a table has one kind of group only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Margins of the candidate and of the active model for the same people, with their outcomes."""

    margin: Array
    active_margin: Array
    y: NDArray[np.int64]
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputEvidence:
    """What the inputs know, found on the rows of the training table.

    `leaks` and `smuggled` are sentences: inputs that know or may know the outcome, or stand for a protected group.
    `unnamed` are columns of race or ethnicity for which the specification names no axis.
    """

    leaks: tuple[str, ...] = ()
    smuggled: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    undated: dict[str, float] = field(default_factory=dict)
    """The share of the rows of a table from charts in which a call would have read an input otherwise."""
    is_of_record: bool = False
    """Whether the rows are calls of the record, whose inputs were written down before the outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Evidence from outside the folder; where it is None, the gate that needs it is not run."""

    as_of: date
    timer: Callable[[], float]
    people: Array | None = None
    retrained: Retrained | None = None
    audits: tuple[Audit, ...] = ()
    """By the axis that the card names, then by each one of race and ethnicity: the choice is not the author's."""
    audited_before: str = ""
    """Of a renewal, whose table has no column of need: the version in use, which predicts the same label."""
    figures: dict[str, Any] | None = None
    """The evaluation, computed now from rows and file."""
    inputs: "InputEvidence | None" = None
    """What each input reads and how much it tells."""
    active: "Subject | None" = None
    paired: Paired | None = None
    waiver_fault: Callable[[dict[str, Any]], str | None] = lambda _waiver: None
    """Why a waiver of the card is not valid here, in a sentence; None where it is."""
    absent: dict[str, str] | None = None
    """Why a piece of evidence is missing, by its name."""

    def why_absent(self, name: str, otherwise: str) -> str:
        """Return the reason given for missing evidence, or the default reason."""
        return (self.absent or {}).get(name, otherwise)


def read_subject(folder: Path, keys: Keys) -> Subject:
    """Return the candidate in this folder.

    Raises:
        ManifestRefused: the folder has nothing that can be examined.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        content = (folder / manifest.file.name).read_bytes()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ManifestRefused(f"{folder.name} contains no model that the gates can examine: {problem}") from problem
    return Subject(folder=folder, keys=keys, content=content, manifest=manifest, card=_card(folder))


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}
