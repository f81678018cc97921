"""An artifact folder: model.onnx and manifest.json, checked before anything is run."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from models_onnx.errors import HashMismatch, ManifestRefused, UnsafeModel
from models_onnx.manifest import Manifest, encode
from models_onnx.onnx_file import refuse_unsafe

MANIFEST = "manifest.json"
MODEL = "model.onnx"
LARGEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked model file and what its manifest says about it."""

    manifest: Manifest
    content: bytes


def load_artifact(folder: Path) -> Artifact:
    """The artifact of that folder; ManifestRefused, HashMismatch or UnsafeModel where it must not be served."""
    manifest = read_manifest(folder)
    content = _read_model(folder, manifest)
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.file.sha256:
        raise HashMismatch(
            f"{folder.name}/{manifest.file.name} has sha256 {digest[:12]}…, its manifest says "
            f"{manifest.file.sha256[:12]}…: the file was changed after training; restore it or train again"
        )
    refuse_unsafe(content)
    return Artifact(manifest, content)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of that folder, valid against its schema; ManifestRefused otherwise."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ManifestRefused(f"{folder.name} has no {MANIFEST}; a model without one is not served") from None
    except ValueError as problem:
        raise ManifestRefused(f"{folder.name}/{MANIFEST} is not JSON: {problem}") from problem
    if error := jsonschema.exceptions.best_match(_validator().iter_errors(document)):
        raise ManifestRefused(f"{folder.name}/{MANIFEST}: {error.json_path} {error.message[:200]}")
    return msgspec.convert(document, Manifest)


def write_artifact(folder: Path, manifest: Manifest, content: bytes) -> None:
    """Writes both files and reads them back as the server would; nothing invalid stays unnoticed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(content)
    (folder / MANIFEST).write_bytes(encode(manifest))
    load_artifact(folder)


def _read_model(folder: Path, manifest: Manifest) -> bytes:
    path = folder / manifest.file.name
    if not path.is_file():
        raise HashMismatch(f"{folder.name} has no {manifest.file.name}, which its manifest names")
    if path.stat().st_size > LARGEST_BYTES:
        raise UnsafeModel(f"{folder.name}/{manifest.file.name} is larger than {LARGEST_BYTES // 2**20} MB")
    return path.read_bytes()


@cache
def _validator() -> Any:
    schema = json.loads((files("models_onnx") / "schemas" / "manifest.schema.json").read_bytes())
    return jsonschema.Draft202012Validator(schema)
