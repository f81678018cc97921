"""What a compilation says of itself: the report for whoever compiled, the metadata in the file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.compiler.additive_trees import AdditiveTrees
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.parity import Agreement
from models_onnx.compiler.sklearn_columns import Inputs

_SCALES = {"logit": "log odds", "identity": "probability", "cloglog": "log cumulative hazard"}
SHAPLEY = ("boosted trees", "forest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was compiled, how it explains itself, and how well it agreed: all differences are the largest seen.

    `categories`: texts of a text input, in the order of their codes. `rows_asked_of_library`: rows of the proof whose
    probability came from the library that fitted the model; the others from the model as it was read.
    `rows_moved_by_float32`: rows of the reference cohort that the library itself answers otherwise (by more than 1e-5)
    once their values are float32, as the file takes them: a value like 27.35 that is exactly a threshold. Fit and
    compile on X.astype(numpy.float32), and there are none.
    """

    form: str
    link: str
    base: float | None
    features: tuple[str, ...]
    groups: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    horizons: tuple[float, ...]
    explained: bool
    explanation: str
    reference_rows: int
    rows_asked_of_library: int
    rows_moved_by_float32: int
    agreement: Agreement | None
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """The bytes of the ONNX file and the report."""

    content: bytes
    report: Report

    def save(self, path: Path | str) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.content)


@dataclass(frozen=True, slots=True)
class Told:
    """What the caller says about the model; written into the file as it is."""

    name: str
    version: str
    card: Mapping[str, Any] | None
    dictionary: Sequence[Mapping[str, Any]] | None

    def metadata(self, inputs: Inputs, low: Sequence[float], high: Sequence[float], rows: int) -> dict[str, str]:
        """metadata_props: who it is, its inputs in order, the card and the feature dictionary as JSON."""
        described = self.dictionary if self.dictionary is not None else _dictionary(inputs, low, high)
        return {
            "model_id": self.name,
            "model_version": self.version,
            "reference_rows": str(rows),
            "features": _json(list(inputs.names)),
            "feature_dictionary": _json(described),
            "model_card": _json(self.card or {}),
        }


def form_of(form: str, model: FittedModel) -> str:
    """The source's form, but what it became where all its trees ask about one input each."""
    return "additive trees" if isinstance(model, AdditiveTrees) and form != "EBM" else form


def explanation(form: str, model: FittedModel, count: int) -> str:
    """One sentence about what the contributions are, for the file and the report."""
    if form in SHAPLEY:
        how = f"Exact interventional Shapley values against all {count} people of the reference cohort"
    else:
        how = f"Each input's own term, less its mean over the {count} people of the reference cohort"
    pairs = " A pair of inputs is split in halves between them." if form == "EBM" else ""
    return f"{how}, on the scale of the {_SCALES[model.link.name]}.{pairs}"


def digest(content: bytes) -> str:
    """sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _dictionary(inputs: Inputs, low: Sequence[float], high: Sequence[float]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item, lowest, highest in zip(inputs.names, low, high, strict=True):
        found.append({"name": item, "trained_low": lowest, "trained_high": highest})
        if item in inputs.categories:
            found[-1]["categories"] = list(inputs.categories[item])
    return found


def _json(document: Any) -> str:
    return msgspec.json.encode(document).decode()
