"""release.json: the files of one model version by hash, signed as a whole, and its state from draft to retired.

Which state may follow which, and what it takes, is in responsible-ai.md 5.5.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from models_onnx.artifact.keys import Keys, Signer
from models_onnx.errors import HashMismatch, NotReleased, SignatureRefused

RELEASE = "release.json"
RELEASE_FORMAT = "cds-hooks-onnx/release/1"
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
    """The content address of these files."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in ADDRESSED if name in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def sign_release(release: Release, signer: Signer) -> Release:
    """The same, signed by this key."""
    unsigned = msgspec.structs.replace(release, key=signer.public.id, signature="")
    signature = base64.b64encode(signer.sign(_message(unsigned))).decode()
    return msgspec.structs.replace(unsigned, signature=signature)


def encode_release(release: Release) -> bytes:
    """release.json as it is written."""
    return msgspec.json.format(msgspec.json.encode(release), indent=1) + b"\n"


def read_release(folder: Path, keys: Keys) -> Release:
    """The release of that folder, its signature verified; SignatureRefused otherwise."""
    release = parse_release(folder)
    _refuse_unsigned(release, folder.name, keys)
    return release


def parse_release(folder: Path) -> Release:
    """The release without a look at its signature; SignatureRefused where it is not one."""
    try:
        content = (folder / RELEASE).read_bytes()
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
            f"{', '.join(f'{each.id} ({each.name})' for each in keys.values()) or 'none'}. "
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
    """The bytes that are signed: canonical JSON, without the signature itself."""
    document: dict[str, Any] = msgspec.to_builtins(release)
    document.pop("signature")
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


STATES = ("draft", "validated", "approved", "shadow", "active", "retired")

# responsible-ai.md 5.5; back from active to shadow is how a site stops cards and goes on measuring.
_NEXT = {
    "draft": ("validated", "retired"),
    "validated": ("approved", "draft", "retired"),
    "approved": ("shadow", "active", "validated", "retired"),
    "shadow": ("active", "approved", "retired"),
    "active": ("shadow", "retired"),
    "retired": (),
}
# What a model may show cards in, at a site that asks for no more than a state.
STATES_WITH_CARDS = ("validated", "approved", "active")
# Gates about the file itself, the figures and the papers: without them nothing is validated.
GATES_FOR_VALIDATED = frozenset({"G1", "G2", "G3", "G4", "G5", "G6", "G7", "G14"})
APPROVERS = 2


def apply_steps(release: Release, steps: Sequence[ReleaseStep]) -> Release:
    """The release after these steps, unsigned; NotReleased by the reason where one is not allowed.

    `approved` takes two steps: two people in two roles, given together.
    """
    target = steps[0].state
    _refuse_wrong_order(release, target)
    if target == "approved":
        _refuse_few_approvers(steps)
    _refuse_red(release, target)
    return msgspec.structs.replace(release, state=target, history=(*release.history, *steps), signature="")


def state_after_gates(release: Release) -> str:
    """The state of a release after a new gate report.

    A draft whose file, figures and papers are in order is validated; one that had come further and turned red goes back
    to validated, or to draft.
    """
    red = set(release.gates.red) if release.gates is not None else set(GATES_FOR_VALIDATED)
    if release.state == "retired":
        return release.state
    if red & GATES_FOR_VALIDATED:
        return "draft"
    return "validated" if red or release.state == "draft" else release.state


def reason_cards_withheld(release: Release, least: str = "validated") -> str | None:
    """Why its cards are not shown, in one sentence; None where they are."""
    if release.gates is None:
        return f"{release.id} {release.version}: no gate report is part of the release"
    if release.gates.red:
        return f"{release.id} {release.version} is held at {release.state}: {', '.join(release.gates.red)} not green"
    if release.state not in STATES_WITH_CARDS or STATES.index(release.state) < STATES.index(least):
        return f"{release.id} {release.version} is {release.state}; cards are shown from {least} on, not in shadow"
    return None


def _refuse_wrong_order(release: Release, target: str) -> None:
    if target not in STATES:
        raise NotReleased(f"{target!r} is no state; there are: {', '.join(STATES)}")
    if target not in _NEXT[release.state]:
        following = ", ".join(_NEXT[release.state]) or "nothing"
        raise NotReleased(f"{release.id} is {release.state}; from there it goes to {following}, not to {target}")


def _refuse_few_approvers(steps: Sequence[ReleaseStep]) -> None:
    people, roles = {step.by for step in steps}, {step.role for step in steps}
    if len(people) < APPROVERS or len(roles) < APPROVERS:
        raise NotReleased("approval takes two people in two different roles: give --by and --role twice")


def _refuse_red(release: Release, target: str) -> None:
    if target in ("draft", "retired"):
        return
    if release.gates is None:
        raise NotReleased(f"{release.id} has no gate report: cds-hooks model gates {release.id} --record")
    red = set(release.gates.red)
    held = red & GATES_FOR_VALIDATED if target == "validated" else red
    if held:
        names = ", ".join(sorted(held, key=lambda gate: int(gate[1:])))
        raise NotReleased(f"{release.id} {release.version} may not become {target}: {names} not green")
