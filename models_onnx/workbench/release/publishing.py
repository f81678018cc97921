"""From a draft (model.onnx, manifest.json) to a signed release, and the list of models with the state of each."""

from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact.files import encode_json, write_whole
from models_onnx.artifact.folder import (
    CARD,
    MANIFEST,
    MODEL,
    VERSION_SIGN,
    load_artifact,
    read_manifest,
)
from models_onnx.artifact.keys import Signer
from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.artifact.release_file import (
    ADDRESSED,
    DRAFT,
    RELEASE,
    RELEASE_FORMAT,
    FileDigest,
    GateSummary,
    Release,
    ReleaseStep,
    file_digest,
    parse_release,
    release_digest,
    sign_release,
)
from models_onnx.errors import CardIncomplete, SignatureRefused, TrainingRefused
from models_onnx.model_card.schema import refuse_incomplete_card, still_to_do
from models_onnx.workbench.release.card import build_card, card_words, refuse_unknown_axes
from models_onnx.workbench.release.embed import core_digest, embed_card

GATES = "gates.json"
# The champion report of a model that was chosen among several families.
COMPARISON = "comparison.json"
VALIDATED = "validated"


def publish(folder: Path, signer: Signer, words: dict[str, Any] | None = None) -> Release:
    """Write card, manifest and release of a trained draft; what was signed before loses its state and its report.

    `words` are those of the card (default: the sidecar beside the model's declaration). CardIncomplete where the card
    is not whole, UnsafeModel or ManifestRefused where the draft must not be published.
    """
    manifest = read_manifest(folder)
    words = words or card_words(manifest.id)
    content = (folder / MODEL).read_bytes()
    card = build_card(manifest, words, core_digest(content))
    axes = {str(group["axis"]) for group in manifest.evaluation.get("subgroups", ())}
    refuse_unknown_axes(manifest.id, card, axes)
    refuse_incomplete_card(card)
    if to_do := sorted(still_to_do(msgspec.to_builtins(manifest))):
        raise CardIncomplete(f"{manifest.id}: these are still to be written: {', '.join(to_do)}")
    refuse_unsafe(content)
    complete = embed_card(content, card)
    fact = file_digest(complete)
    file = msgspec.structs.replace(manifest.file, sha256=fact.sha256, bytes=fact.bytes)
    write_whole(folder / MODEL, complete)
    write_whole(folder / MANIFEST, encode_json(msgspec.structs.replace(manifest, file=file)))
    write_whole(folder / CARD, encode_json(card))
    (folder / GATES).unlink(missing_ok=True)
    return sign_folder(folder, manifest.id, manifest.version, signer)


def sign_folder(folder: Path, model_id: str, version: str, signer: Signer) -> Release:
    """Signs the files as they lie there, as a draft without a report, and returns the release."""
    names = (*ADDRESSED, COMPARISON)
    files = {name: file_digest((folder / name).read_bytes()) for name in names if (folder / name).is_file()}
    release = Release(
        format=RELEASE_FORMAT,
        id=model_id,
        version=version,
        state=DRAFT,
        digest=release_digest(files),
        files=files,
        gates=None,
        history=(),
        key="",
    )
    return write_release(folder, release, signer)


def record_gates(folder: Path, report: bytes, summary: GateSummary, at: str, signer: Signer) -> Release:
    """Add a gate report to the release: validated where no gate is red, a draft where one is."""
    write_whole(folder / GATES, report)
    before = parse_release(folder)
    files: dict[str, FileDigest] = {**before.files, GATES: file_digest(report)}
    state = DRAFT if summary.red else VALIDATED
    why = f"gates: {', '.join(summary.red)} not green" if summary.red else "gates: all green or waived"
    steps = () if state == before.state else (ReleaseStep(state, at, "cds-hooks model gates", "gates", why),)
    history = (*before.history, *steps)
    release = msgspec.structs.replace(before, files=files, gates=summary, state=state, history=history)
    return write_release(folder, release, signer)


def write_release(folder: Path, release: Release, signer: Signer) -> Release:
    """Signs and writes."""
    release = sign_release(release, signer)
    write_whole(folder / RELEASE, encode_json(release))
    return release


def write_artifact(folder: Path, manifest: Manifest, content: bytes) -> Path:
    """Write both files, read them back, and return the folder that has them. Publishing makes a release of them.

    A draft is written over. Beside a version that has been gated the new one lies as <id>@<version>: what shows cards
    is not changed by training or importing, only by an act of release.

    Raises:
        TrainingRefused: This version has been gated already, and a version that may show cards never changes.
    """
    folder = _folder_of_new(folder, manifest)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RELEASE, CARD, GATES):  # what was written about the files before
        (folder / name).unlink(missing_ok=True)
    write_whole(folder / MODEL, content)
    write_whole(folder / MANIFEST, encode_json(manifest))
    load_artifact(folder)
    return folder


def _folder_of_new(folder: Path, manifest: Manifest) -> Path:
    beside = folder.with_name(f"{manifest.id}{VERSION_SIGN}{manifest.version}")
    released = {path: release for path in (folder, beside) if (release := _gated(path)) is not None}
    if same := next((release for release in released.values() if release.version == manifest.version), None):
        raise TrainingRefused(
            f"{same.id} {same.version} is {same.state} already, and a released version never changes: give the "
            "declaration another version"
        )
    return beside if folder in released else folder


def _gated(folder: Path) -> Release | None:
    """Return the release of a folder that is beyond a draft; None for a draft, and where nothing is."""
    try:
        release = parse_release(folder)
    except SignatureRefused:
        return None
    return None if release.state == DRAFT else release
