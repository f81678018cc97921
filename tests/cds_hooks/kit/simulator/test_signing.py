"""Keys and tokens of a client under test: what a token says, and files that are a key or none."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from cds_hooks.kit.simulator.signing import (
    SigningKeyError,
    new_key,
    read_key_file,
    write_key,
)

KEY = new_key("https://ehr.example", "ES256", "kit")


def test_the_public_key_is_given_in_the_forms_in_which_servers_keep_it() -> None:
    pem, stripped, der, jwk, jwks = KEY.public_forms()
    assert (pem[:27], pem[-1:], stripped) == (b"-----BEGIN PUBLIC KEY-----\n", b"\n", pem[:-1])
    assert serialization.load_der_public_key(der) == KEY.private.public_key()
    assert (json.loads(jwk), json.loads(jwks)) == (KEY.public_jwk, {"keys": [KEY.public_jwk]})


def test_a_key_is_written_once_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    write_key(KEY, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key_file(path) == KEY
    with pytest.raises(FileExistsError):
        write_key(KEY, path)


NOT_MADE = "is not one that cds-hooks trust token made."


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"{", "is not JSON."),
        (b"[]", NOT_MADE),
        ({"issuer": "i"}, NOT_MADE),
        ({"key": KEY.jwk}, NOT_MADE),
        ({"key": KEY.jwk, "issuer": 5}, NOT_MADE),
        ({"key": [], "issuer": "i"}, NOT_MADE),
        ({"key": KEY.public_jwk, "issuer": "i"}, NOT_MADE),
        ({"key": KEY.jwk | {"alg": "HS256"}, "issuer": "i"}, NOT_MADE),
    ],
)
def test_what_is_no_key_is_refused_with_a_sentence(document: Any, why: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    if document is not None:
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    with pytest.raises(SigningKeyError) as refused:
        read_key_file(path)
    assert str(refused.value) == f"The key file {path} {why}"
