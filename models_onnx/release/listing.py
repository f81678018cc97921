"""Which models are declared, and in which state their artifacts are."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from models_onnx.artifact.folder import MANIFEST, load_artifact
from models_onnx.artifact.manifest import ImportedManifest
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.registry import ARTIFACTS, model_ids
from models_onnx.spec import ModelSpec, find_specs

READY, IMPORTED = "ready", "imported"


@dataclass(frozen=True, slots=True)
class Listed:
    """One model and the state of its artifact: `ready`, `not trained`, `imported`, or why it is not served.

    `release` is where its release stands: draft, validated, approved, shadow, active or retired.
    """

    id: str
    version: str
    title: str
    state: str
    sha256: str | None = None
    auroc: float | None = None
    release: str = ""


def list_models(folder: Path = ARTIFACTS) -> tuple[Listed, ...]:
    """Every declared model and every imported one, with the state of its artifact; a broken one is said, not raised."""
    specs = find_specs()
    imported = [name for name in model_ids(folder) if name not in specs]
    return (
        *(_listed(spec, folder / spec.id) for spec in specs.values()),
        *(_imported(name, folder / name) for name in imported),
    )


def _listed(spec: ModelSpec, folder: Path) -> Listed:
    if not folder.is_dir():
        return Listed(spec.id, spec.version, spec.title, "not trained")
    try:
        manifest = load_artifact(folder).manifest
    except ArtifactRefused as problem:
        return Listed(spec.id, spec.version, spec.title, str(problem))
    state = READY if manifest.version == spec.version else f"trained as {manifest.version}"
    return Listed(
        spec.id,
        spec.version,
        spec.title,
        state,
        manifest.file.sha256,
        float(manifest.evaluation["all"]["auroc"]["value"]),
        _release_state(folder),
    )


def _imported(name: str, folder: Path) -> Listed:
    try:
        about = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=ImportedManifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        return Listed(name, "?", name, f"neither declared nor imported: {problem}")
    return Listed(name, about.version, about.title, IMPORTED, about.file.sha256, release=_release_state(folder))


def _release_state(folder: Path) -> str:
    try:
        return parse_release(folder).state
    except ArtifactRefused:
        return "draft"
