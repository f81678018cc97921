"""The user to whom cards are shown, as the record names them: by a keyed hash, in the clear, or not at all.

A keyed hash is `<key id>:<hash>`, HMAC-SHA-256 of the client's name and the user, both cut to 32 hexadecimal digits of
the hash and 8 of the key's own. Who has the record but not the key cannot try names; who has the key can ask for one
user. With a new key (the first line of the file) the older ones still find what was recorded under them.
"""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cds_hooks.storage.decision import RecordUnavailable

UserForm = Literal["hashed", "clear", "none"]
"""How the user stands in the record."""

_KEY_BYTES: Final = 32
_ID_DIGITS: Final = 8
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class UserNames:
    """Turns a user of a client into what is recorded, and into everything that can have been recorded."""

    form: UserForm
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    def recorded(self, client: str, user: str | None) -> str:
        """What the record says of this user; an empty string where it says nothing."""
        if not user or self.form == "none":
            return ""
        if self.form == "clear":
            return user
        return _hashed(self.keys[0], client, user) if self.keys else ""

    def possible(self, client: str, user: str) -> list[str]:
        """Under what a decision shown to this user of this client can be recorded, whichever key was in use."""
        return [user, *(_hashed(key, client, user) for key in self.keys)]


def _hashed(key: bytes, client: str, user: str) -> str:
    message = f"{client}\0{user}".encode(errors="surrogatepass")
    digest = hmac.digest(key, message, "sha256")[:_HASH_BYTES]
    return f"{hashlib.sha256(key).hexdigest()[:_ID_DIGITS]}:{digest.hex()}"


def open_user_names(form: UserForm, file: Path) -> UserNames:
    """The keys in the file, which is made with a new key where there is none; RecordUnavailable when it cannot be."""
    if form != "hashed":
        return UserNames(form)
    if not file.exists():
        _make(file)
    return UserNames(form, read_user_keys(file))


def read_user_keys(file: Path) -> tuple[bytes, ...]:
    """The keys of the file, one line of 64 hexadecimal digits each, the newest first; RecordUnavailable otherwise."""
    try:
        keys = tuple(bytes.fromhex(line) for line in file.read_text(encoding="ascii").split())
    except (OSError, ValueError) as error:
        raise RecordUnavailable(f"the keys for users in {file} cannot be read") from error
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise RecordUnavailable(f"the keys for users in {file} must be lines of 64 hexadecimal digits")
    return keys


def add_user_key(file: Path) -> None:
    """Puts a new key before those in the file; the older ones still find what was recorded under them."""
    older = file.read_text(encoding="ascii") if file.exists() else ""
    _write(file, secrets.token_hex(_KEY_BYTES) + "\n" + older).replace(file)


def _make(file: Path) -> None:
    try:
        new = _write(file, secrets.token_hex(_KEY_BYTES) + "\n")
        with suppress(FileExistsError):  # another worker was first: its key counts
            os.link(new, file)
        new.unlink()
    except OSError as error:
        raise RecordUnavailable(f"the keys for users in {file} cannot be made: {error.strerror}") from error


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    return new
