"""Models and their versions, found by id, by version or by content address.

One folder `<id>` under `models_onnx/artifacts`, or under a folder of one's own, is the model in use; other versions lie
beside it as `<id>@<version>`, where acts of release choose among them (`call/model_versions.py`). A reference is
`id`, `id@version`, or `id@` and the beginning of a release's digest.
"""

from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from models_onnx.artifact.folder import MANIFEST, VERSION_SIGN, load_artifact
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import RELEASE, parse_release
from models_onnx.errors import ArtifactRefused, ManifestRefused, UnknownModel
from models_onnx.serving.runtime import Model

# The wheel is installed unpacked, so the package's own files have a path.
ARTIFACTS = Path(str(files("models_onnx") / "artifacts"))
# Eight hexadecimal digits tell a few versions apart; fewer are more likely a slip than a reference.
_SHORTEST_DIGEST = 8


class Version(Struct, frozen=True):
    """One version of a model: where it lies, its content address and state; a draft has neither."""

    id: str
    version: str
    folder: Path
    digest: str = ""
    state: str = "draft"


def model_ids(folder: Path = ARTIFACTS) -> tuple[str, ...]:
    """Return the ids there are, sorted; a folder without a manifest is none."""
    if not folder.is_dir():
        return ()
    names = (path.parent.name for path in folder.glob(f"*/{MANIFEST}"))
    return tuple(sorted(name for name in names if VERSION_SIGN not in name))


def version_ids(folder: Path = ARTIFACTS) -> tuple[str, ...]:
    """Return the folders of versions that are not in use, as `<id>@<version>`, sorted."""
    return tuple(sorted(path.parent.name for path in folder.glob(f"*{VERSION_SIGN}*/{MANIFEST}")))


def versions(model_id: str, folder: Path = ARTIFACTS) -> tuple[Version, ...]:
    """Return every version of that id, the one in use first; empty where there is none."""
    model_folder = folder / model_id
    others = sorted(folder.glob(f"{model_id}{VERSION_SIGN}*"), reverse=True)
    return tuple(
        _version(model_id, folder_of_version)
        for folder_of_version in (model_folder, *others)
        if (folder_of_version / MANIFEST).is_file()
    )


def find_version(reference: str, folder: Path = ARTIFACTS) -> Version:
    """Return the version that a reference means.

    Raises:
        UnknownModel: there is none; the message lists those there are.
    """
    model_id, _, wanted = reference.partition(VERSION_SIGN)
    # a version of a model of the package may lie in the site's folder, without one in use beside it
    available = versions(model_id, folder) if wanted or model_id in model_ids(folder) else ()
    if not available:
        raise UnknownModel(f"no model is called {model_id!r}; there are: {', '.join(model_ids(folder)) or 'none'}")
    if not wanted:
        return available[0]
    wanted = wanted.removeprefix("sha256:")
    by_folder = f"{model_id}{VERSION_SIGN}{wanted}" if "+" in wanted else None
    matching = [
        version
        for version in available
        if wanted == version.version or version.folder.name == by_folder or _is_digest(wanted, version)
    ]
    if len({version.digest for version in matching}) == 1:
        return matching[0]
    there = ", ".join(f"{version.version} ({version.digest[:12] or 'draft'})" for version in available)
    if matching:
        raise UnknownModel(f"{model_id} has several versions {wanted!r}, name its digest; there are: {there}")
    raise UnknownModel(f"{model_id} has no version {wanted!r}; there are: {there}")


def load_model(name: str, folder: Path = ARTIFACTS, keys: Keys | None = None) -> Model:
    """Return the model of that reference, checked and ready to predict.

    Signatures must be by one of `keys` (default: `default_keys`). A draft, which nobody signed, is only loaded from
    a folder of one's own: what the server finds by default is signed.

    Raises:
        UnknownModel: there is no model or version of that name; the message lists those there are.
        ArtifactRefused: the files are not those that were signed, or must not be served.
    """
    version = find_version(name, folder)
    artifact = load_artifact(version.folder, keys, folder == ARTIFACTS)
    if artifact.manifest.id != version.id:
        raise ManifestRefused(f"folder {version.folder.name} holds the manifest of {artifact.manifest.id!r}")
    return Model(artifact)


def _version(model_id: str, folder: Path) -> Version:
    if (folder / RELEASE).is_file():
        try:
            release = parse_release(folder)
        except ArtifactRefused:
            return Version(model_id, "?", folder, state="unreadable")
        return Version(model_id, release.version, folder, release.digest, release.state)
    return Version(model_id, folder.name.partition(VERSION_SIGN)[2] or "draft", folder)


def _is_digest(wanted: str, version: Version) -> bool:
    return len(wanted) >= _SHORTEST_DIGEST and version.digest.startswith(wanted)
