"""release.json: the files of one model version by hash, signed as a whole, with what its gates came to."""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fhir.terminology.plain_file import read_plain
from models_onnx.artifact.keys import Keys, Signer
from models_onnx.errors import HashMismatch, SignatureRefused

RELEASE = "release.json"
RELEASE_FORMAT = "cds-hooks-onnx/release/1"
DRAFT = "draft"
"""The state of a release whose gates were not recorded, or are not all green."""
# The content address is of what decides a score and how it is described; reports about it come and go.
ADDRESSED = ("card.json", "manifest.json", "model.onnx")


class FileDigest(Struct, frozen=True):
    """One file of the release."""

    sha256: str
    bytes: int


class ReleaseStep(Struct, frozen=True):
    """One change of state: to which, when, by whom in which role, and why."""

    state: str
    at: str
    by: str
    role: str
    why: str


class GateSummary(Struct, frozen=True):
    """What the gate report in gates.json came to."""

    green: tuple[str, ...]
    red: tuple[str, ...]
    waived: tuple[str, ...] = ()


class Release(Struct, frozen=True, kw_only=True):
    """What is signed. `digest` is the content address: SHA-256 over names and hashes of the addressed files."""

    format: str
    id: str
    version: str
    state: str
    digest: str
    files: dict[str, FileDigest]
    gates: GateSummary | None
    history: tuple[ReleaseStep, ...]
    key: str
    signature: str = ""


def file_digest(content: bytes) -> FileDigest:
    """Hash and size."""
    return FileDigest(hashlib.sha256(content).hexdigest(), len(content))


def release_digest(files: dict[str, FileDigest]) -> str:
    """Return the content address of these files."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in ADDRESSED if name in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def sign_release(release: Release, signer: Signer) -> Release:
    """Return the same, signed by this key."""
    unsigned = msgspec.structs.replace(release, key=signer.public.id, signature="")
    signature = base64.b64encode(signer.sign(_message(unsigned))).decode()
    return msgspec.structs.replace(unsigned, signature=signature)


def read_release(folder: Path, keys: Keys) -> Release:
    """Return the release of that folder, its signature verified; SignatureRefused otherwise."""
    release = parse_release(folder)
    _refuse_unsigned(release, folder.name, keys)
    return release


def parse_release(folder: Path) -> Release:
    """Return the release without a look at its signature; SignatureRefused where it is not one."""
    try:
        content = read_plain(folder / RELEASE)
    except OSError:
        raise SignatureRefused(
            f"{folder.name} has no {RELEASE}: it was never published; cds-hooks model sign {folder.name}"
        ) from None
    try:
        release = msgspec.json.decode(content, type=Release)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise SignatureRefused(f"{folder.name}/{RELEASE} is not a release: {problem}") from problem
    if release.format != RELEASE_FORMAT:
        raise SignatureRefused(
            f"{folder.name}/{RELEASE} has the format {release.format!r}; this version reads {RELEASE_FORMAT}"
        )
    return release


def refuse_other_file(release: Release, folder: str, name: str, content: bytes) -> None:
    """HashMismatch where the file is not the one that was signed."""
    fact = release.files.get(name)
    if fact is None:
        raise HashMismatch(f"{folder}/{name} is not part of the signed release")
    digest = hashlib.sha256(content).hexdigest()
    if digest != fact.sha256:
        raise HashMismatch(
            f"{folder}/{name} has sha256 {digest[:12]}…, its signed release says {fact.sha256[:12]}…: "
            "the file was changed after training; restore it or train again"
        )


def _refuse_unsigned(release: Release, folder: str, keys: Keys) -> None:
    key = keys.get(release.key)
    if key is None:
        raise SignatureRefused(
            f"{folder} is signed by key {release.key or '(none)'}, which is not trusted here; trusted are "
            f"{', '.join(f'{key.id} ({key.name})' for key in keys.values()) or 'none'}. "
            "If it is yours, name its public key file in CDS_MODEL_KEYS"
        )
    try:
        signature = base64.b64decode(release.signature, validate=True)
    except binascii.Error:
        signature = b""
    if not key.verifies(signature, _message(msgspec.structs.replace(release, signature=""))):
        raise SignatureRefused(
            f"{folder}/{RELEASE} was changed after it was signed, or the signature is not by {key.name}"
        )
    if release.digest != release_digest(release.files):
        raise SignatureRefused(f"{folder}/{RELEASE}: its digest is not that of its files")


def _message(release: Release) -> bytes:
    """Return the bytes that are signed: canonical JSON, without the signature itself."""
    document: dict[str, Any] = msgspec.to_builtins(release)
    document.pop("signature")
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def reason_cards_withheld(release: Release) -> str | None:
    """Return why its cards are not shown, in one sentence; None where no gate is red."""
    if release.gates is None:
        return f"{release.id} {release.version}: no gate report is part of the release"
    if release.gates.red:
        return f"{release.id} {release.version} is held at {release.state}: {', '.join(release.gates.red)} not green"
    return None
