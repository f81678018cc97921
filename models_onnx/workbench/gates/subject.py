"""The objects that the gates examine: the candidate in its folder, its file run as on the server, further evidence."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.folder import CARD, MANIFEST
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.manifest import Manifest, ModelInput
from models_onnx.errors import ManifestRefused, UnsafeModel
from models_onnx.serving.runtime import RUN_ERRORS, run_in_parts, session_of

Array = NDArray[np.float64]
FEATURES, PROBABILITY = "features", "probability"
"""The input of a file, and the output that none may lack."""
EXPLAINING = ("margin", "contributions", "missing", "out_of_range")
"""The outputs by which a file explains itself."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Every output for N rows; None for outputs that the file does not have."""

    probability: Array
    margin: Array | None
    contributions: Array | None
    missing: NDArray[np.bool_] | None
    out_of_range: NDArray[np.bool_] | None
    base: float | None
    link: str

    def raw(self) -> dict[str, bytes]:
        """Return the bytes of every output, for exact comparisons."""
        parts = {
            name: getattr(self, name) for name in ("probability", "margin", "contributions", "missing", "out_of_range")
        }
        return {name: np.ascontiguousarray(value).tobytes() for name, value in parts.items() if value is not None}

    @property
    def explains(self) -> bool:
        """Whether the file gives margin, base and contributions."""
        return self.margin is not None and self.contributions is not None and self.base is not None


class Runner:
    """One session on one file."""

    def __init__(self, content: bytes) -> None:
        self._size = len(content)
        self._session = session_of(content)
        self.inputs = {item.name: (item.type, list(item.shape)) for item in self._session.get_inputs()}
        self.outputs = {item.name for item in self._session.get_outputs()}
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._wanted = [name for name in (PROBABILITY, *EXPLAINING) if name in self.outputs]

    def answers(self, rows: NDArray[np.float32]) -> Answers:
        """Return the outputs for these rows.

        Raises:
            UnsafeModel: the file cannot be run on them.
        """
        try:
            values = run_in_parts(self._session, self._wanted, FEATURES, rows, self._size)
        except RUN_ERRORS as problem:
            raise UnsafeModel(f"the model cannot be run on {rows.shape} values: {str(problem)[:160]}") from problem
        outputs = dict(zip(self._wanted, values, strict=True))
        return Answers(
            probability=np.asarray(outputs[PROBABILITY], dtype=np.float64).reshape(-1),
            **{name: np.asarray(outputs[name]) if name in outputs else None for name in EXPLAINING},
            base=self._base(),
            link=self.metadata.get("link", "logit"),
        )

    def _base(self) -> float | None:
        text = self.metadata.get("base")
        try:
            return None if text is None else float(text)
        except ValueError:
            return None


@dataclass(slots=True, kw_only=True)
class Subject:
    """The candidate. Reading it refuses nothing, because refusing is the task of the gates."""

    folder: Path
    keys: Keys
    content: bytes
    manifest: Manifest
    card: dict[str, Any]
    _runner: Runner | None = None

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
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        self.answers(np.zeros((1, len(self.features))))  # opens the session
        return {} if self._runner is None else self._runner.metadata

    @property
    def always(self) -> frozenset[str]:
        return frozenset(self.manifest.required.always)

    def answers(self, rows: NDArray[Any]) -> Answers:
        """Return the file's outputs for these rows; the session is opened once."""
        if self._runner is None:
            self._runner = Runner(self.content)
        return self._runner.answers(np.asarray(rows, dtype=np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """The result of training the same specification again from its pinned data and seed."""

    same_file: bool
    same_data: bool
    auroc_difference: float
    answers: Callable[[NDArray[np.float32]], Answers]
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
