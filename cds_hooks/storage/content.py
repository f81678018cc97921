"""How the large columns of the record are stored: compressed, and encrypted where the site sets a key.

What is stored tells by its first bytes how it is to be read:

- `{` or `[`: JSON as it is, which rows from before version 0004 of the schema hold;
- 28 B5 2F FD: a Zstandard frame, whose header names the dictionary (`content-<id>.zdict` in this folder);
- 01, four bytes of key id, twelve bytes of nonce: AES-256-GCM of one of the two above.

The hash chain is over the stored bytes. So whoever verifies the record needs neither a dictionary nor a key.

The site's keys for the content of the record, as the settings name them.

The user to whom cards are shown, as the record names them: by a keyed hash, in the clear, or not at all.

A keyed hash is `<key id>:<hash>`, HMAC-SHA-256 of the client's name and the user, both cut to 32 hexadecimal digits of
the hash and 8 of the key's own. Who has the record but not the key cannot try names; who has the key can ask for one
user. With a new key (the first line of the file) the older ones still find what was recorded under them.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable

DICTIONARY_ID: Final = 2
"""The dictionary new rows are compressed with. Older ones stay in this folder for the rows that need them."""

_LEVEL: Final = 3
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ENCRYPTED: Final = 0x01
_EMPTY: Final = (b"[]", b"{}")
"""Nothing to hide, and encrypted it would take 33 bytes more: no model was asked, say."""
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_TEXT_PREFIX: Final = "encrypted:"
LARGEST_BYTES: Final = 256 * 1024 * 1024
"""A stored value that says it is larger than this is not read."""


class ContentUnreadable(Exception):
    """Stored content cannot be read; one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class ContentKeys:
    """The site's keys for AES-256-GCM: the first encrypts, all of them decrypt. Without any, nothing is encrypted."""

    keys: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def newest(self) -> bytes | None:
        """The id of the key that encrypts."""
        return next(iter(self.keys), None)


def read_content_keys(text: str) -> ContentKeys:
    """The keys of a text with one key a line, the newest first: 64 hexadecimal digits; ContentUnreadable otherwise."""
    keys: dict[bytes, bytes] = {}
    for line in text.split():
        try:
            key = bytes.fromhex(line)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ContentUnreadable("a key for the record's content is 64 hexadecimal digits, one key a line")
        keys[hashlib.sha256(key).digest()[:_ID_BYTES]] = key
    return ContentKeys(keys)


def key_text(key: str | None, file: Path | None) -> str:
    """The keys as the settings give them: the value itself, or what is in the file; ContentUnreadable without it."""
    if key is not None:
        return key
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ContentUnreadable(f"the keys for the record's content in {file} cannot be read") from error


_in_use = ContentKeys()


def use_content_keys(keys: ContentKeys) -> None:
    """Sets the keys of this process, once at its start: every reader and writer of the record uses them."""
    global _in_use
    _in_use = keys


def store_content(value: bytes) -> bytes:
    """The value as it goes into the database."""
    stored = _compress(value)
    if _in_use.newest is None or value in _EMPTY:
        return stored
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(_in_use.keys[_in_use.newest]).encrypt(nonce, stored, None)
    return b"".join((bytes((_ENCRYPTED,)), _in_use.newest, nonce, sealed))


def load_content(stored: bytes) -> bytes:
    """The value that was stored; ContentUnreadable where its key or its dictionary is not here."""
    if stored[:1] == bytes((_ENCRYPTED,)):
        stored = _decrypt(stored)
    if stored[:4] != _ZSTD:
        return stored
    return _decompress(stored)


def _decrypt(stored: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    start = 1 + _ID_BYTES
    key = _in_use.keys.get(stored[1:start])
    if key is None:
        raise ContentUnreadable("content of the record is encrypted with a key that is not among CDS_CONTENT_KEYS")
    nonce, sealed = stored[start : start + _NONCE_BYTES], stored[start + _NONCE_BYTES :]
    try:
        return bytes(_cipher(key).decrypt(nonce, sealed, None))
    except InvalidTag as error:
        raise ContentUnreadable("content of the record was changed after it was encrypted") from error


@cache
def _cipher(key: bytes) -> Any:
    # imported here: a site that does not encrypt starts without it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


@cache
def _compressor() -> Callable[[bytes], bytes] | None:
    try:
        import zstandard
    except ImportError:  # an environment from before the lock named it; what is stored says how it is to be read
        return None
    dictionary = zstandard.ZstdCompressionDict(_dictionary(DICTIONARY_ID))
    dictionary.precompute_compress(level=_LEVEL)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, dict_data=dictionary)
    compress: Callable[[bytes], bytes] = compressor.compress
    return compress


def _compress(value: bytes) -> bytes:
    compress = _compressor()
    if compress is None:
        return value
    compressed = compress(value)
    # of JSON as short as `[]` the frame is the longer one
    return value if len(value) <= len(compressed) and value[:1] in (b"{", b"[") else compressed


def _decompress(stored: bytes) -> bytes:
    import zstandard

    try:
        parameters = zstandard.get_frame_parameters(stored)
        if parameters.content_size > LARGEST_BYTES:
            raise ContentUnreadable("content of the record says that it is larger than the server ever writes")
        value: bytes = _decompressor(parameters.dict_id).decompress(stored)
    except (zstandard.ZstdError, FileNotFoundError) as error:
        raise ContentUnreadable("content of the record cannot be decompressed") from error
    return value


@cache
def _decompressor(dictionary: int) -> Any:
    import zstandard

    if not dictionary:
        return zstandard.ZstdDecompressor()
    return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(_dictionary(dictionary)))


def _dictionary(number: int) -> bytes:
    return (files("cds_hooks.storage") / f"content-{number}.zdict").read_bytes()


def store_text(value: str) -> str:
    """Free text as it goes into the database: encrypted where the site sets a key."""
    if _in_use.newest is None:
        return value
    return _TEXT_PREFIX + store_content(value.encode()).hex()


class StoredContent(TypeDecorator[bytes]):
    """A column that the writer fills with `store_content`; what is selected from it is the value again."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """What was stored."""
        return None if value is None else load_content(bytes(value))


class StoredText(TypeDecorator[str]):
    """A text column that the writer fills with `store_text`."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What was stored."""
        if value is None or not value.startswith(_TEXT_PREFIX):
            return value
        return load_content(bytes.fromhex(value.removeprefix(_TEXT_PREFIX))).decode()


def use_site_keys(configured: Settings) -> None:
    """From now on this process encrypts and decrypts with the site's keys; RecordUnavailable where they are no keys."""
    key = configured.content_key.get_secret_value() if configured.content_key is not None else None
    try:
        use_content_keys(read_content_keys(key_text(key, configured.content_keys)))
    except ContentUnreadable as error:
        raise RecordUnavailable(str(error)) from error


UserForm = Literal["hashed", "clear", "none"]
"""How the user stands in the record."""


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
    return f"{_key_id(key)}:{digest.hex()}"


@cache
def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:_ID_DIGITS]


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
