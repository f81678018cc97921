"""release.json: what is signed, its digest, and each sentence with which one is refused."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models_onnx.artifact.keys import Signer
from models_onnx.artifact.release_file import (
    RELEASE_FORMAT,
    GateSummary,
    Release,
    ReleaseStep,
    encode_release,
    file_digest,
    read_release,
    refuse_other_file,
    release_digest,
    sign_release,
)
from models_onnx.errors import HashMismatch, SignatureRefused

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))), "the tests")
KEYS = {SIGNER.public.id: SIGNER.public}
FILES = {
    "model.onnx": file_digest(b"model"),
    "manifest.json": file_digest(b"manifest"),
    "card.json": file_digest(b"card"),
    "gates.json": file_digest(b"gates"),
}


def _release(**changes: Any) -> Release:
    whole: dict[str, Any] = {
        "format": RELEASE_FORMAT, "id": "m", "version": "1.0.0", "state": "validated", "digest": release_digest(FILES),
        "files": FILES, "gates": GateSummary(("G1",), ()), "key": "",
        "history": (ReleaseStep("validated", "2026-11-20T10:00:00Z", "A", "validator", "green – whole"),),
    }  # fmt: skip
    return sign_release(Release(**{**whole, **changes}), SIGNER)


def _folder(place: Path, release: Release | bytes) -> Path:
    folder = place / "m"
    folder.mkdir(exist_ok=True)
    (folder / "release.json").write_bytes(release if isinstance(release, bytes) else encode_release(release))
    return folder


def test_a_signed_release_is_read_back_whole(tmp_path: Path) -> None:
    release = _release()
    assert (release.key, len(base64.b64decode(release.signature))) == (SIGNER.public.id, 64)
    assert sign_release(release, SIGNER) == release, "a signature is not of an earlier one"
    assert encode_release(release).endswith(b"\n}\n")
    assert read_release(_folder(tmp_path, release), KEYS) == release


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": "active"}, "m/release.json was changed after it was signed, or the signature is not by the tests"),
        ({"signature": "x!"}, "m/release.json was changed after it was signed, or the signature is not by the tests"),
        ({"signature": ""}, "m/release.json was changed after it was signed, or the signature is not by the tests"),
        (
            {"key": "beef"},
            f"m is signed by key beef, which is not trusted here; trusted are {SIGNER.public.id} (the tests). If it "
            "is yours, name its public key file in CDS_MODEL_KEYS",
        ),
        (
            {"key": ""},
            f"m is signed by key (none), which is not trusted here; trusted are {SIGNER.public.id} (the tests). If it "
            "is yours, name its public key file in CDS_MODEL_KEYS",
        ),
    ],
)
def test_a_release_that_was_changed_is_refused(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, msgspec.structs.replace(_release(), **changes))
    with pytest.raises(SignatureRefused) as refused:
        read_release(folder, KEYS)
    assert str(refused.value) == sentence


def test_a_file_that_is_not_the_one_that_was_signed() -> None:
    release = _release()
    refuse_other_file(release, "m", "card.json", b"card")
    changed = hashlib.sha256(b"Card").hexdigest()[:12]
    with pytest.raises(HashMismatch) as refused:
        refuse_other_file(release, "m", "card.json", b"Card")
    assert str(refused.value) == (
        f"m/card.json has sha256 {changed}…, its signed release says {FILES['card.json'].sha256[:12]}…: "
        "the file was changed after training; restore it or train again"
    )
    with pytest.raises(HashMismatch) as refused:
        refuse_other_file(release, "m", "notes.txt", b"")
    assert str(refused.value) == "m/notes.txt is not part of the signed release"
