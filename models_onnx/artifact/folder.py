"""An artifact folder: model.onnx, manifest.json, card.json and release.json, checked before anything is run."""

import hashlib
from pathlib import Path

import msgspec
from msgspec import Struct

from fhir.terminology.plain_file import read_plain, unreadable
from models_onnx.artifact.keys import Keys, default_keys
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.artifact.release_file import RELEASE, Release, read_release, refuse_other_file
from models_onnx.errors import HashMismatch, ManifestRefused, SignatureRefused, UnsafeModel

MANIFEST = "manifest.json"
MODEL = "model.onnx"
CARD = "card.json"
LARGEST_BYTES = 64 * 1024 * 1024
# Other versions of a model lie beside it, as <id>@<version>.
VERSION_SIGN = "@"


class Artifact(Struct, frozen=True):
    """A checked model file, what its manifest says about it, and the release it was signed in (None: a draft)."""

    manifest: Manifest
    content: bytes
    release: Release | None = None


def load_artifact(folder: Path, keys: Keys | None = None, signed: bool = False) -> Artifact:
    """Return the artifact of that folder, checked.

    Where there is a release.json its signature must be by one of `keys` (default: `default_keys`) and every file the
    one that was signed. A folder without one is a draft, which is refused where `signed` is asked for.

    Raises:
        ArtifactRefused: the folder must not be served; its classes say why (errors.py).
    """
    if (folder / RELEASE).exists() or signed:
        return _load_signed(folder, default_keys() if keys is None else keys)
    manifest = read_manifest(folder)
    content = _read_model(folder, manifest.file.name)
    _refuse_other_model(folder, manifest, content)
    refuse_unsafe(content)
    return Artifact(manifest, content)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of that folder.

    Raises:
        ManifestRefused: it is missing, no JSON, lacks a member, or has one of another type.
    """
    try:
        manifest = msgspec.json.decode(_read_manifest(folder), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ManifestRefused(f"{folder.name}/{MANIFEST}: {problem}") from problem
    if manifest.file.name != MODEL:
        raise ManifestRefused(f"{folder.name}/{MANIFEST} names the file {manifest.file.name!r}; it must be {MODEL}")
    return manifest


def _load_signed(folder: Path, keys: Keys) -> Artifact:
    release = read_release(folder, keys)
    refuse_other_files(folder, release)
    manifest = read_manifest(folder)
    if (release.id, release.version) != (manifest.id, manifest.version):
        raise ManifestRefused(
            f"{folder.name}: the release is of {release.id} {release.version}, the manifest of {manifest.id} "
            f"{manifest.version}"
        )
    content = _read_model(folder, manifest.file.name)
    refuse_other_file(release, folder.name, manifest.file.name, content)
    _refuse_other_model(folder, manifest, content)
    refuse_unsafe(content)
    return Artifact(manifest, content, release)


def refuse_other_files(folder: Path, release: Release) -> None:
    """HashMismatch for the first file that is missing or not the one that was signed."""
    for name in sorted(release.files):
        refuse_other_file(release, folder.name, name, _read_named(folder, name))


def _refuse_other_model(folder: Path, manifest: Manifest, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.file.sha256:
        raise HashMismatch(
            f"{folder.name}/{manifest.file.name} has sha256 {digest[:12]}…, its manifest says "
            f"{manifest.file.sha256[:12]}…: the file was changed after training; restore it or train again"
        )


def _read_manifest(folder: Path) -> bytes:
    try:
        return read_plain(folder / MANIFEST)
    except FileNotFoundError:
        raise ManifestRefused(f"{folder.name} has no {MANIFEST}; a model without one is not served") from None
    except OSError as error:
        raise ManifestRefused(unreadable(folder / MANIFEST, error)) from error


def _read_named(folder: Path, name: str) -> bytes:
    if name != Path(name).name:
        raise SignatureRefused(f"{folder.name}/{RELEASE} names {name!r}, which is not a file of its folder")
    if name == MANIFEST:
        return _read_manifest(folder)
    return _read_model(folder, name)


def _read_model(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise HashMismatch(f"{folder.name} has no {name}, which belongs to it; restore it or train again")
    if path.stat().st_size > LARGEST_BYTES:
        raise UnsafeModel(f"{folder.name}/{name} is larger than {LARGEST_BYTES // 2**20} MB")
    return path.read_bytes()
