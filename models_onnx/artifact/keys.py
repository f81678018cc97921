"""Ed25519 keys: whose signature is trusted, and the private key of whoever publishes.

Public keys are JSON: `{"keys": [{"name": …, "public_key": base64 of 32 bytes}]}`. The maintainers' are
`models_onnx/artifact/maintainers.json`; a site adds a file of its own. A private key is a PKCS#8 PEM file that only its
owner can read and that is never committed; a key's id is the beginning of the SHA-256 of its public half.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from io import BufferedRandom
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from fhir.terminology.plain_file import read_plain, unreadable
from models_onnx.errors import SignatureRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ID_LENGTH = 16
_PUBLIC_BYTES = 32


class PublicKey(Struct, frozen=True):
    """A key whose signatures are trusted, and whose it is."""

    id: str
    name: str
    raw: bytes

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return whether the signature is of this message by this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


Keys = Mapping[str, PublicKey]


class Signer:
    """A private key and the name under which its owner publishes."""

    def __init__(self, private: "Ed25519PrivateKey", name: str) -> None:
        self._private = private
        self.public = public_key(private.public_key().public_bytes_raw(), name)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of the message, 64 bytes."""
        return self._private.sign(message)


def maintainers() -> Keys:
    """Return the keys of this project, as committed."""
    return _read((files("models_onnx.artifact") / "maintainers.json").read_bytes(), "maintainers.json")


_ALSO: dict[str, PublicKey] = {}


def add_trusted_keys(keys: Keys) -> None:
    """Add keys to those this process trusts where a caller names none; done once, by what reads the settings."""
    _ALSO.update(keys)


def default_keys() -> Keys:
    """Return the maintainers' keys and those the site trusts."""
    return {**maintainers(), **_ALSO}


def trusted_keys(*also: Path) -> Keys:
    """Return the maintainers' keys and those in these files; SignatureRefused where a file cannot be read."""
    keys = dict(maintainers())
    for path in also:
        keys |= read_keys(path)
    return keys


def read_keys(path: Path) -> Keys:
    """Return the keys of this file alone; SignatureRefused where it cannot be read."""
    try:
        return _read(read_plain(path), path.name)
    except OSError as problem:
        raise SignatureRefused(f"the file of public keys: {unreadable(path, problem)}") from problem


def public_key(raw: bytes, name: str) -> PublicKey:
    """Return the key of these bytes with its id; SignatureRefused where they are not 32."""
    if len(raw) != _PUBLIC_BYTES:
        raise SignatureRefused(f"the public key of {name} has {len(raw)} bytes instead of {_PUBLIC_BYTES}")
    return PublicKey(hashlib.sha256(raw).hexdigest()[:ID_LENGTH], name, raw)


def local_signer(path: Path, name: str) -> tuple[Signer, bool]:
    """Read the key in that file, or make one (second value: whether it was made); its public half lies beside it."""
    if path.is_file():
        return read_signer(path, name), False
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    signer = Signer(private, name)
    with new_private_file(path) as file:
        file.write(pem)
        public_file(path).write_text(key_file(signer.public), encoding="utf-8")
    return signer, True


@contextmanager
def new_private_file(path: Path) -> Iterator[BufferedRandom]:
    """Yield a new file to write and read, for its owner alone; gone again where the block fails, as on a full disk.

    Half a key or half a backup under its final name would be taken for a whole one.

    Raises:
        FileExistsError: There is a file already, which stays as it is.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
    except BaseException:  # an interrupt, too
        path.unlink(missing_ok=True)
        raise


def read_signer(path: Path, name: str) -> Signer:
    """Return the private key in that file; SignatureRefused where it is none of ours."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(read_plain(path), password=None)
    except (OSError, ValueError, TypeError) as problem:
        if isinstance(problem, OSError):
            raise SignatureRefused(f"the signing key: {unreadable(path, problem)}") from problem
        raise SignatureRefused(f"the signing key {path} is not an Ed25519 key in PEM without a password") from problem
    if not isinstance(private, Ed25519PrivateKey):
        raise SignatureRefused(f"the signing key {path} is not an Ed25519 key")
    return Signer(private, name)


def public_file(private: Path) -> Path:
    """Return where the public half of that private key lies: the file with which a site trusts it."""
    return private.with_suffix(".pub.json")


def key_file(*keys: PublicKey) -> str:
    """Return a file of trusted keys."""
    rows = [{"name": key.name, "public_key": base64.b64encode(key.raw).decode()} for key in keys]
    return json.dumps({"keys": rows}, indent=1) + "\n"


def _read(content: bytes, name: str) -> dict[str, PublicKey]:
    try:
        rows = json.loads(content)["keys"]
        keys = [public_key(base64.b64decode(row["public_key"], validate=True), str(row["name"])) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as problem:
        raise SignatureRefused(f"{name} is not a file of trusted keys (see docs/models/registry.md)") from problem
    return {key.id: key for key in keys}
