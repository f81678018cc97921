"""Keys: made for their owner alone, read or refused in a sentence, trusted by file."""

import base64
import json
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from models_onnx.artifact.keys import key_file, local_signer, maintainers, public_file, read_signer, trusted_keys
from models_onnx.errors import SignatureRefused
from tests.models_onnx.workshop import SIGNER, STRANGER

ROOT = Path(__file__).resolve().parents[3]


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    first, made = local_signer(path, "me")
    again, made_again = local_signer(path, "me")
    assert (made, made_again) == (True, False)
    assert first.public == again.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert trusted_keys(public_file(path))[first.public.id] == first.public


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What is written beyond so many bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [50, 125])  # neither half fits, the private half does
def test_a_key_that_cannot_be_written_whole_is_no_key(tmp_path: Path, most: int) -> None:
    path = tmp_path / "key.pem"
    with files_of_at_most(most), pytest.raises(OSError, match="too large"):
        local_signer(path, "somebody with a name that is long enough")
    assert not path.exists()
    _, made = local_signer(path, "me")
    assert made


def test_a_signature_is_of_its_message_and_key_only() -> None:
    signature = SIGNER.sign(b"this")
    assert SIGNER.public.verifies(signature, b"this")
    assert not SIGNER.public.verifies(signature, b"that")
    assert not STRANGER.public.verifies(signature, b"this")
    assert not SIGNER.public.verifies(b"short", b"this")


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


def test_a_file_of_keys_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureRefused, match="cannot be read"):
        trusted_keys(tmp_path / "absent.json")


def test_one_changed_bit_of_the_trusted_key_makes_its_signatures_a_strangers(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_file(SIGNER.public))
    raw = bytearray(SIGNER.public.raw)
    raw[0] ^= 1
    damaged = json.loads(path.read_text())
    damaged["keys"][0]["public_key"] = base64.b64encode(bytes(raw)).decode()
    path.write_text(json.dumps(damaged))
    assert SIGNER.public.id not in trusted_keys(path)
