"""Stores the large columns of the record: compressed, and encrypted where the site sets a key.

The first bytes of a stored value say how it is read:

- `{` or `[`: plain JSON, so short that compression would make it longer;
- 28 B5 2F FD: a Zstandard frame, compressed with the dictionary `content.zdict` in this folder;
- 01, four bytes of key id, twelve bytes of nonce: AES-256-GCM of one of the two above.

The hash chain covers the stored bytes, so verifying the record needs neither a dictionary nor a key. The keys are those
that the settings name.

The user to whom cards are shown is recorded as a keyed hash, in clear text, or not at all. A keyed hash is `<key
id>:<hash>`: HMAC-SHA-256 of the client's name and the user, cut to 32 hexadecimal digits of the hash and 8 of the key's
own. Without the key nobody can try names against the record. The first key of the file is used; the id tells which rows
an older one made.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal

from sqlalchemy import Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import Settings
from fhir.terminology.plain_file import plain_file, unreadable

DICTIONARY: Final = Path(__file__).with_name("content.zdict")
"""The dictionary of every row; it never changes, because stored rows need it (docs/decisions/0004)."""

_LEVEL: Final = 1
"""Level 3 saves 7 % of an answer and takes twice the time: its tables do not stay in the cache beside a call."""
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ENCRYPTED: Final = 0x01
_EMPTY: Final = (b"[]", b"{}")
"""Stored as it is: an empty value holds nothing secret, and compression and encryption would make it longer."""
_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_TEXT_PREFIX: Final = "encrypted:"
LARGEST_BYTES: Final = 256 * 1024 * 1024
"""A stored value whose header states a larger size is not read."""


class ContentUnreadable(Exception):
    """Stored content cannot be read; one sentence for the operator."""


def _keys_in(text: str) -> tuple[bytes, ...]:
    """Return the keys in a text with one key on each line, the newest first.

    Raises:
        ContentUnreadable: one is not 64 hexadecimal digits.
    """
    keys = list[bytes]()
    for number, line in enumerate(text.split(), 1):
        with suppress(ValueError):
            keys.append(bytes.fromhex(line))
        if len(keys) < number or len(keys[-1]) != _KEY_BYTES:
            raise ContentUnreadable(f"key {number} is wrong: a key is 64 hexadecimal digits, one key a line")
    return tuple(keys)


def key_text(file: Path | None) -> str:
    """Read the file of keys; an empty text where there is none.

    Raises:
        ContentUnreadable: the file cannot be read.
    """
    if file is None:
        return ""
    try:
        return plain_file(file).read_text(encoding="ascii")
    except OSError as error:
        raise ContentUnreadable(unreadable(file, error)) from error
    except UnicodeDecodeError as error:
        raise ContentUnreadable("the keys are not text in ASCII") from error


_in_use: dict[bytes, bytes] = {}
"""The site's keys for AES-256-GCM by their ids: the first one encrypts, all of them decrypt; without any nothing is
encrypted."""


def use_content_keys(text: str) -> None:
    """Set the keys of this process, as `_keys_in` reads them, for every reader and writer of the record.

    Raises:
        ContentUnreadable: the text has another form.
    """
    global _in_use
    _in_use = {hashlib.sha256(key).digest()[:_ID_BYTES]: key for key in _keys_in(text)}


def store_content(value: bytes) -> bytes:
    """Return the stored form of the value."""
    if value in _EMPTY:
        return value
    stored = _compress(value)
    if not _in_use:
        return stored
    key_id, key = next(iter(_in_use.items()))
    nonce = os.urandom(_NONCE_BYTES)
    return b"".join((bytes((_ENCRYPTED,)), key_id, nonce, _cipher(key).encrypt(nonce, stored, None)))


def load_content(stored: bytes) -> bytes:
    """Return the value of its stored form.

    Raises:
        ContentUnreadable: its key is missing here, or it was changed.
    """
    if stored[:1] == bytes((_ENCRYPTED,)):
        stored = _decrypt(stored)
    if stored[:4] != _ZSTD:
        return stored
    import zstandard

    try:
        if zstandard.get_frame_parameters(stored).content_size > LARGEST_BYTES:
            raise ContentUnreadable("a stored value states a size that the server never writes")
        return _decompressor()(stored)
    except zstandard.ZstdError as error:
        raise ContentUnreadable("content of the record cannot be decompressed") from error


def _decrypt(stored: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    start = 1 + _ID_BYTES
    key = _in_use.get(stored[1:start])
    if key is None:
        raise ContentUnreadable("content of the record is encrypted with a key that is not among CDS_CONTENT_KEYS")
    nonce, sealed = stored[start : start + _NONCE_BYTES], stored[start + _NONCE_BYTES :]
    try:
        return bytes(_cipher(key).decrypt(nonce, sealed, None))
    except InvalidTag as error:
        raise ContentUnreadable("content of the record was changed after it was encrypted") from error


@cache
def _cipher(key: bytes) -> Any:
    # imported here: a site that does not encrypt does not need it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _one_at_a_time(function: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Lock the function of a zstandard object, which lets go of the GIL and breaks where two threads use it at once."""
    lock = Lock()

    def alone(value: bytes) -> bytes:
        with lock:
            return function(value)

    return alone


@cache
def _dictionary() -> Any:
    import zstandard

    return zstandard.ZstdCompressionDict(DICTIONARY.read_bytes())


@cache
def _compressor() -> Callable[[bytes], bytes]:
    import zstandard

    dictionary = _dictionary()
    dictionary.precompute_compress(level=_LEVEL)
    return _one_at_a_time(zstandard.ZstdCompressor(level=_LEVEL, dict_data=dictionary).compress)


def _compress(value: bytes) -> bytes:
    compressed = _compressor()(value)
    # of JSON as short as `[]` the frame is the longer one
    return value if len(value) <= len(compressed) and value[:1] in (b"{", b"[") else compressed


@cache
def _decompressor() -> Callable[[bytes], bytes]:
    import zstandard

    return _one_at_a_time(zstandard.ZstdDecompressor(dict_data=_dictionary()).decompress)


def store_text(value: str) -> str:
    """Return the stored form of free text: encrypted where the site sets a key."""
    if not _in_use:
        return value
    return _TEXT_PREFIX + store_content(value.encode()).hex()


class StoredContent(TypeDecorator[bytes]):
    """A column written with `store_content`; selecting it gives the value again."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return what was stored."""
        return None if value is None else load_content(bytes(value))


class StoredText(TypeDecorator[str]):
    """A text column written with `store_text`; selecting it gives the text again."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return what was stored."""
        if value is None or not value.startswith(_TEXT_PREFIX):
            return value
        return load_content(bytes.fromhex(value.removeprefix(_TEXT_PREFIX))).decode()


def use_site_keys(configured: Settings) -> None:
    """Make this process encrypt and decrypt with the site's keys.

    Raises:
        RecordUnavailable: they are not valid keys.
    """
    try:
        use_content_keys(key_text(configured.content_keys))
    except ContentUnreadable as error:
        # The value is not printed: it may be a key that was pasted where the path of its file is expected.
        setting = "CDS_CONTENT_KEYS must be the path of the file with the keys: "
        raise RecordUnavailable(f"{setting if configured.content_keys is not None else ''}{error}") from error


UserForm = Literal["hashed", "clear", "none"]
"""How the user is recorded."""


_ID_DIGITS: Final = 8
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class UserNames:
    """Gives the recorded form of a client's user."""

    form: UserForm
    keys: tuple[bytes, ...] = field(default=(), repr=False)

    def recorded(self, client: str, user: str | None) -> str:
        """Return the recorded form of this user; an empty string where users are not recorded."""
        if not user or self.form == "none":
            return ""
        if self.form == "clear":
            return user
        return _hashed(self.keys[0], client, user) if self.keys else ""


def _hashed(key: bytes, client: str, user: str) -> str:
    key_id, begun = _begun_hash(key)
    keyed_hash = begun.copy()
    keyed_hash.update(f"{client}\0{user}".encode(errors="surrogatepass"))
    return f"{key_id}:{keyed_hash.digest()[:_HASH_BYTES].hex()}"


@cache
def _begun_hash(key: bytes) -> tuple[str, hmac.HMAC]:
    """Return the id of the key, and the hash that begins with it."""
    return hashlib.sha256(key).hexdigest()[:_ID_DIGITS], hmac.new(key, digestmod="sha256")


def open_user_names(form: UserForm, file: Path) -> UserNames:
    """Return the keys in the file; where there is no file, one is made with a new key.

    Raises:
        RecordUnavailable: it cannot be made.
    """
    if form != "hashed":
        return UserNames(form)
    if not file.exists():
        _make(file)
    return UserNames(form, read_user_keys(file))


def read_user_keys(file: Path) -> tuple[bytes, ...]:
    """Return the keys of the file, each a line of 64 hexadecimal digits, the newest first.

    Raises:
        RecordUnavailable: the file cannot be read or has another form.
    """
    try:
        keys = _keys_in(key_text(file))
    except ContentUnreadable as error:
        raise RecordUnavailable(f"the keys for users in {file} cannot be used: {error}") from error
    if not keys:
        raise RecordUnavailable(f"the file {file} holds no key for users")
    return keys


def _make(file: Path) -> None:
    try:
        new = _write(file, secrets.token_hex(_KEY_BYTES) + "\n")
        with suppress(FileExistsError):  # another worker made the file first: its key is used
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
