"""What a manifest says beside its members: ages in words, percentiles, periods, inputs by name."""

import base64
import json
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.keys import local_signer, maintainers, public_file, read_signer, trusted_keys
from models_onnx.artifact.manifest import Manifest, encode_manifest
from models_onnx.errors import ManifestRefused, SignatureRefused
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.publishing import sign_folder
from tests.models_onnx.workshop import KEYS, SIGNER, build

TEXT = (ARTIFACTS / "mortality_5y" / "manifest.json").read_bytes()
MANIFEST = msgspec.json.decode(TEXT, type=Manifest)


def test_a_manifest_is_written_as_it_was() -> None:
    written = encode_manifest(MANIFEST)
    assert msgspec.json.decode(written) == msgspec.json.decode(TEXT)
    assert (written[:4], written[-3:]) == (b'{\n "', b"\n}\n")


# A release of another model, a file that is too large, and errors of other files, each in its sentence.
@pytest.mark.parametrize(("name", "version"), [("other", None), (None, "9.9.9")])
def test_a_release_of_another_model_or_version_is_refused(
    tmp_path: Path, name: str | None, version: str | None
) -> None:
    home = build(tmp_path)
    manifest = load_artifact(home, KEYS).manifest
    sign_folder(home, name or manifest.id, version or manifest.version, SIGNER)
    with pytest.raises(ManifestRefused) as refused:
        load_artifact(home, KEYS)
    assert str(refused.value) == (
        f"mortality_5y: the release is of {name or 'mortality_5y'} {version or manifest.version}, the manifest of "
        f"mortality_5y {manifest.version}"
    )


ROOT = Path(__file__).resolve().parents[3]


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    first, made = local_signer(path, "me")
    again, made_again = local_signer(path, "me")
    assert (made, made_again) == (True, False)
    assert first.public == again.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert trusted_keys(public_file(path))[first.public.id] == first.public


def test_the_maintainers_key_is_committed_and_no_private_key_is() -> None:
    assert len(maintainers()) >= 1
    committed = [path for folder in ("models_onnx", "cds_hooks") for path in (ROOT / folder).rglob("*.pem")]
    assert committed == []


def test_a_private_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(SignatureRefused, match="no Ed25519 key"):
        read_signer(path, "me")
    path.write_bytes(b"not a key")
    with pytest.raises(SignatureRefused, match="cannot be read"):
        read_signer(path, "me")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"keys": [{"name": "a"}]}',
        '{"keys": [{"name": "a", "public_key": "!!!"}]}',
        json.dumps({"keys": [{"name": "a", "public_key": base64.b64encode(b"short").decode()}]}),
    ],
)
def test_a_damaged_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SignatureRefused):
        trusted_keys(path)
