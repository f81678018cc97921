"""From a draft (model.onnx, manifest.json) to a signed release: card into the file, hashes, signature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact import CARD, MANIFEST, MODEL, read_manifest
from models_onnx.card.build import build_card, words_of
from models_onnx.card.check import Card, refuse_incomplete
from models_onnx.card.embed import core_digest, embedded
from models_onnx.errors import HashMismatch, ManifestRefused, NotReleased
from models_onnx.manifest import Manifest
from models_onnx.manifest import encode as encode_manifest
from models_onnx.onnx_file import refuse_unsafe
from models_onnx.signing.keys import Signer
from models_onnx.signing.release import (
    ADDRESSED,
    FORMAT,
    RELEASE,
    FileFact,
    GateSummary,
    Release,
    Step,
    digest_of,
    encode,
    fact_of,
    parse_release,
    signed,
)
from models_onnx.signing.states import moved, state_after_gates

GATES = "gates.json"
# The champion report of a model that was chosen among several, written by training.
COMPARISON = "comparison.json"
STATE_AT_FIRST = "draft"


def publish(folder: Path, signer: Signer, words: dict[str, Any] | None = None) -> Release:
    """Writes card, manifest and release of a trained draft; what was signed before loses its state and its report.

    `words` are those of the card (default: the sidecar beside the model's declaration). CardIncomplete where the card
    is not whole, UnsafeModel or ManifestRefused where the draft must not be published.
    """
    manifest = read_manifest(folder)
    content = (folder / MODEL).read_bytes()
    refuse_unsafe(content)
    card = build_card(manifest, words or words_of(manifest.id), core_digest(content))
    return publish_with(folder, manifest, content, card, signer)


def publish_with(folder: Path, manifest: Manifest, content: bytes, card: Card, signer: Signer) -> Release:
    """The same with a card that is there already (an imported model's)."""
    refuse_incomplete(card)
    _refuse_other_card(manifest, card, content)
    complete = embedded(content, card)
    fact = fact_of(complete)
    file = msgspec.structs.replace(manifest.file, sha256=fact.sha256, bytes=fact.bytes)
    manifest = msgspec.structs.replace(manifest, file=file)
    (folder / MODEL).write_bytes(complete)
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))
    (folder / CARD).write_bytes(encode_card(card))
    (folder / GATES).unlink(missing_ok=True)
    return sign_folder(folder, manifest.id, manifest.version, signer)


def sign_folder(folder: Path, model_id: str, version: str, signer: Signer) -> Release:
    """A new release of the files as they lie there: a draft without a report."""
    named = (*ADDRESSED, COMPARISON)
    files = {name: fact_of((folder / name).read_bytes()) for name in named if (folder / name).is_file()}
    return write_release(
        folder,
        Release(
            format=FORMAT,
            id=model_id,
            version=version,
            state=STATE_AT_FIRST,
            digest=digest_of(files),
            files=files,
            gates=None,
            history=(),
            key="",
        ),
        signer,
    )


def write_release(folder: Path, release: Release, signer: Signer) -> Release:
    """Signs and writes."""
    release = signed(release, signer)
    (folder / RELEASE).write_bytes(encode(release))
    return release


def record_gates(folder: Path, report: bytes, summary: GateSummary, at: str, signer: Signer) -> Release:
    """Adds a gate report to the release: a draft may become validated by it, and what turned red goes back."""
    (folder / GATES).write_bytes(report)
    before = parse_release(folder)
    files: dict[str, FileFact] = {**before.files, GATES: fact_of(report)}
    release = msgspec.structs.replace(before, files=files, gates=summary)
    state = state_after_gates(release)
    if state != release.state:
        why = f"gates: {', '.join(summary.red)} not green" if summary.red else "gates: all green or waived"
        step = Step(state, at, "cds-hooks model gates", "gates", why)
        release = msgspec.structs.replace(release, state=state, history=(*release.history, step))
    return write_release(folder, release, signer)


def move_release(
    folder: Path, release: Release, to: str, at: str, people: Sequence[tuple[str, str]], why: str, signer: Signer
) -> Release:
    """The release in its new state, signed and written; `people` are names and roles. NotReleased where not allowed."""
    steps = [Step(to, at, by, role, why) for by, role in people]
    if not steps:
        raise NotReleased("say who moves it and in which role: --by NAME --role ROLE")
    return write_release(folder, moved(release, steps), signer)


def encode_card(card: Card) -> bytes:
    """card.json as it is written."""
    return msgspec.json.format(msgspec.json.encode(card), indent=1) + b"\n"


def _refuse_other_card(manifest: Manifest, card: Card, content: bytes) -> None:
    model = card["model"]
    if (model["id"], model["version"]) != (manifest.id, manifest.version):
        raise ManifestRefused(
            f"the card is of {model['id']} {model['version']}, not of {manifest.id} {manifest.version}"
        )
    if model.get("core_sha256") != core_digest(content):
        raise HashMismatch(f"the card of {manifest.id} was written for another model file (core_sha256)")
