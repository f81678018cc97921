"""Seals: signed statements of how far each chain of the record went, kept where the database's owner cannot write.

A seal is one line of JSON: `{"seal": {…}, "key": id, "signature": base64}`. The Ed25519 signature is over the JSON of
`seal` with sorted keys and without white space. `seal` holds its number (from 1), its time, the SHA-256 of the line
before, the newest position and hash of each chain of decisions that moved since then, and the newest position and hash
of the chains over feedback and over events.
"""

import base64
import binascii
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import select

from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, events, feedback
from models_onnx.artifact.keys import Keys, Signer

_OVERLAP: Final = 512
"""PostgreSQL can commit a smaller sequence number after a larger one: so many rows are looked at again."""

End = tuple[int, str]
"""Position and hash (hexadecimal) of the newest row of a chain."""


class SealsUnusable(Exception):
    """The seals cannot be read or were not made by the key; one sentence."""


class Seal(Struct, frozen=True):
    """How far the record went at one time."""

    number: int
    at: str
    before: str
    """SHA-256 of the line of the seal before, hexadecimal; empty for the first."""
    sequence: int
    """The newest row of decisions that was looked at."""
    decisions: dict[str, End]
    feedback: End
    events: End

    @property
    def time(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.at)


class _Line(Struct, frozen=True):
    seal: Seal
    key: str
    signature: str


def next_seal(url: str, last: Seal | None, line: bytes | None) -> Seal | None:
    """What is to be sealed after `last`, whose line is `line`; None where nothing has moved.

    It only reads; RecordUnavailable where the record cannot be read.
    """
    after = (last.sequence if last else 0) - _OVERLAP
    columns = [decisions.c[name] for name in ("sequence", "chain", "position", "hash")]
    ends: dict[str, End] = {}
    sequence = last.sequence if last else 0
    while rows := read_rows(
        url, select(*columns).where(decisions.c.sequence > after).order_by(decisions.c.sequence).limit(5000)
    ):
        for row in rows:
            ends[row.chain] = (row.position, bytes(row.hash).hex())
        after = rows[-1].sequence
        sequence = max(sequence, after)
    answers, acts = _end(url, feedback), _end(url, events)
    known = last.decisions if last else {}
    moved = {chain: end for chain, end in ends.items() if known.get(chain) != end}
    if last is not None and sequence == last.sequence and (answers, acts) == (last.feedback, last.events):
        return None
    return Seal(
        (last.number if last else 0) + 1,
        datetime.now(UTC).isoformat(timespec="seconds"),
        hashlib.sha256(line).hexdigest() if line else "",
        sequence,
        moved,
        answers,
        acts,
    )


def _end(url: str, table: Any) -> End:
    rows = read_rows(url, select(table.c.position, table.c.hash).order_by(table.c.sequence.desc()).limit(1))
    return (rows[0].position, bytes(rows[0].hash).hex()) if rows else (0, "")


def sign_seal(seal: Seal, signer: Signer) -> bytes:
    """The line of this seal, without its end of line."""
    body = msgspec.to_builtins(seal)
    signature = base64.b64encode(signer.sign(_signed(body))).decode()
    return orjson.dumps({"seal": body, "key": signer.public.id, "signature": signature}, option=orjson.OPT_SORT_KEYS)


def _signed(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def read_seals(file: Path, keys: Keys) -> list[Seal]:
    """All seals of the file; SealsUnusable where one is missing, was changed, or is of another key."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise SealsUnusable(f"the seals {file} cannot be read: {error.strerror}") from error
    found: list[Seal] = []
    before = b""
    for line in lines:
        seal = _read_line(line, len(found) + 1, keys)
        if seal.number != len(found) + 1 or seal.before != (hashlib.sha256(before).hexdigest() if before else ""):
            raise SealsUnusable(f"seal {len(found) + 1} is missing from {file}, or the one before it was changed")
        found.append(seal)
        before = line
    if not found:
        raise SealsUnusable(f"there is no seal in {file}")
    return found


def _read_line(line: bytes, number: int, keys: Keys) -> Seal:
    try:
        read = msgspec.json.decode(line, type=_Line)
        body = orjson.loads(line)["seal"]
        signature = base64.b64decode(read.signature, validate=True)
    except (msgspec.MsgspecError, ValueError, binascii.Error) as error:
        raise SealsUnusable(f"line {number} of the seals is no seal") from error
    key = keys.get(read.key)
    if key is None:
        raise SealsUnusable(f"seal {number} is signed by the key {read.key}, which is not trusted here")
    if not key.verifies(signature, _signed(body)):
        raise SealsUnusable(f"the signature of seal {number} is not of this seal")
    return read.seal


@contextmanager
def locked(file: Path) -> Iterator[int]:
    """The file of seals, open for adding, for one process at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def add_seal(url: str, file: Path, signer: Signer) -> bytes | None:
    """Seals what is new and adds the line to the file; None where nothing is.

    Raises:
        RecordUnavailable: The record cannot be read.
        OSError: The file cannot be written.
        SealsUnusable: The file's last line is no seal.
    """
    with locked(file) as descriptor:
        lines = file.read_bytes().splitlines()
        last = _last(lines)
        seal = next_seal(url, last, lines[-1] if lines else None)
        if seal is None:
            return None
        line = sign_seal(seal, signer)
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
        return line


def newest_seal(file: Path) -> Seal | None:
    """The last seal of the file, its signature not looked at; None without one.

    Raises:
        SealsUnusable: The last line is no seal.
        OSError: The file is there and cannot be read.
    """
    return _last(file.read_bytes().splitlines()) if file.exists() else None


def _last(lines: Sequence[bytes]) -> Seal | None:
    if not lines:
        return None
    try:
        return msgspec.json.decode(lines[-1], type=_Line).seal
    except msgspec.MsgspecError as error:
        raise SealsUnusable("the last line of the file is no seal; keep the file and begin a new one") from error
