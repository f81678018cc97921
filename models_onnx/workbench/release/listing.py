"""Which models are declared or in a folder, and in which state their artifacts are."""

from pathlib import Path

import msgspec
from msgspec import Struct

from models_onnx.artifact.folder import MANIFEST, load_artifact
from models_onnx.artifact.manifest import ImportedManifest, is_imported
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ArtifactRefused
from models_onnx.serving.registry import ARTIFACTS, model_ids
from models_onnx.spec import ModelSpec, find_specs

READY, IMPORTED, NOT_TRAINED = "ready", "imported", "not trained"


class ListedModel(Struct, frozen=True):
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


def list_models(folder: Path = ARTIFACTS, specs: Path | None = None) -> tuple[ListedModel, ...]:
    """Lists every model of a folder with the state of its artifact; a broken one is named and not raised.

    The list of the package's folder also has the declared models that are not trained, and with `specs`, a folder of
    declarations of one's own, all that are declared there.
    """
    declared, artifacts = find_specs(specs), model_ids(folder)
    if folder != ARTIFACTS:
        shipped = find_specs() if specs is not None else declared
        declared = {name: spec for name, spec in declared.items() if name in artifacts or name not in shipped}
    names = [*declared, *(name for name in artifacts if name not in declared)]
    return tuple(_listed(name, declared.get(name), folder / name) for name in names)


def _listed(name: str, spec: ModelSpec | None, folder: Path) -> ListedModel:
    version, title = (spec.version, spec.title) if spec is not None else ("?", name)
    if not folder.is_dir():
        return ListedModel(name, version, title, NOT_TRAINED)
    if spec is None and is_imported((folder / MANIFEST).read_bytes()):
        return _imported(name, folder)
    try:
        manifest = load_artifact(folder).manifest
    except ArtifactRefused as problem:
        return ListedModel(name, version, title, str(problem))
    state = READY if spec is None or manifest.version == version else f"trained as {manifest.version}"
    auroc = float(manifest.evaluation["all"]["auroc"]["value"])
    if spec is None:
        version, title = manifest.version, manifest.title
    return ListedModel(name, version, title, state, manifest.file.sha256, auroc, _release_state(folder))


def _imported(name: str, folder: Path) -> ListedModel:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=ImportedManifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as problem:
        return ListedModel(name, "?", name, f"neither declared nor imported: {problem}")
    digest, release = manifest.file.sha256, _release_state(folder)
    return ListedModel(name, manifest.version, manifest.title, IMPORTED, digest, release=release)


def _release_state(folder: Path) -> str:
    try:
        return parse_release(folder).state
    except ArtifactRefused:
        return "draft"
