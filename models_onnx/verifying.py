"""Is a published version what was signed, and is its card whole: the long look, with a sentence for what is not."""

from dataclasses import dataclass

from models_onnx.artifact import CARD, MANIFEST, MODEL, load_artifact, read_manifest, refuse_other_files
from models_onnx.card.check import refuse_incomplete
from models_onnx.card.embed import card_of, core_digest
from models_onnx.errors import ArtifactRefused, CardIncomplete, HashMismatch
from models_onnx.imported import is_imported
from models_onnx.onnx_file import refuse_unsafe
from models_onnx.probing import probe
from models_onnx.publishing import encode_card
from models_onnx.registry import Version
from models_onnx.signing.keys import Keys
from models_onnx.signing.release import Release, read_release
from models_onnx.signing.states import why_no_cards


@dataclass(frozen=True, slots=True)
class Verified:
    """One version: by whom it was signed, what does not hold (None: everything does), why it shows no cards."""

    id: str
    version: str
    state: str
    digest: str
    signed_by: str
    problem: str | None
    no_cards: str | None


def verify_version(version: Version, keys: Keys) -> Verified:
    """Signature, hashes, operators, schema of the manifest, card and its copy in the file; never raises for these."""
    try:
        release = _verify(version, keys)
    except ArtifactRefused as problem:
        reason = str(problem)
        return Verified(version.id, version.version, version.state, version.digest, "", reason, "it does not hold")
    name = keys[release.key].name
    return Verified(release.id, release.version, release.state, release.digest, name, None, why_no_cards(release))


def _verify(version: Version, keys: Keys) -> Release:
    folder = version.folder
    release = read_release(folder, keys)
    described = (folder / MANIFEST).read_bytes() if (folder / MANIFEST).is_file() else b""
    if is_imported(described):
        refuse_other_files(folder, release)
    else:
        load_artifact(folder, keys, signed=True)
        read_manifest(folder)
    content = (folder / MODEL).read_bytes()
    card = card_of(content)
    if (folder / CARD).read_bytes() != encode_card(card):
        raise CardIncomplete(f"{folder.name}/{CARD} is not the card inside the model file")
    refuse_incomplete(card)
    if card["model"].get("core_sha256") != core_digest(content):
        raise HashMismatch(f"the card of {folder.name} was written for another model file (core_sha256)")
    refuse_unsafe(content)
    probe(content)
    return release
