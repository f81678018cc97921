"""Artifacts by id: one folder under `models_onnx/artifacts` each, or under a folder of one's own."""

from importlib.resources import files
from pathlib import Path

from models_onnx.artifact import MANIFEST, load_artifact
from models_onnx.errors import ManifestRefused, UnknownModel
from models_onnx.runtime import Model

# The wheel is installed unpacked, so the package's own files have a path.
ARTIFACTS = Path(str(files("models_onnx") / "artifacts"))


def model_ids(folder: Path = ARTIFACTS) -> tuple[str, ...]:
    """The ids there are, sorted; a folder without a manifest is none."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")))


def load_model(name: str, folder: Path = ARTIFACTS) -> Model:
    """The model of that id, checked and ready to predict; UnknownModel or ArtifactRefused otherwise."""
    known = model_ids(folder)
    if name not in known:
        raise UnknownModel(f"no artifact is called {name!r}; there are: {', '.join(known) or 'none'}")
    artifact = load_artifact(folder / name)
    if artifact.manifest.id != name:
        raise ManifestRefused(f"folder {name} holds the manifest of {artifact.manifest.id!r}")
    return Model(artifact)
