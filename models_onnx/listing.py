"""Which models are declared, and in which state their artifacts are."""

from dataclasses import dataclass
from pathlib import Path

from models_onnx.artifact import load_artifact
from models_onnx.errors import ArtifactRefused
from models_onnx.registry import ARTIFACTS
from models_onnx.spec import ModelSpec, find_specs


@dataclass(frozen=True, slots=True)
class Listed:
    """One declared model and the state of its artifact: `ready`, `not trained`, or why it is not served."""

    id: str
    version: str
    title: str
    state: str
    sha256: str | None = None
    auroc: float | None = None


def list_models(folder: Path = ARTIFACTS) -> tuple[Listed, ...]:
    """Every declared model, with the state of its artifact; never raises for a broken one, it says so."""
    return tuple(_listed(spec, folder / spec.id) for spec in find_specs().values())


def _listed(spec: ModelSpec, folder: Path) -> Listed:
    if not folder.is_dir():
        return Listed(spec.id, spec.version, spec.title, "not trained")
    try:
        manifest = load_artifact(folder).manifest
    except ArtifactRefused as problem:
        return Listed(spec.id, spec.version, spec.title, str(problem))
    state = "ready" if manifest.version == spec.version else f"trained as {manifest.version}"
    return Listed(
        spec.id,
        spec.version,
        spec.title,
        state,
        manifest.file.sha256,
        float(manifest.evaluation["all"]["auroc"]["value"]),
    )
