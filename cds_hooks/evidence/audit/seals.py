"""Seals: signed statements of how far the record went, kept where the database's owner cannot write.

A seal is one line of JSON: `{"seal": {…}, "key": id, "signature": base64}`. The Ed25519 signature is over the JSON of
`seal` with sorted keys and without white space. `seal` holds its number (from 1), its time, the SHA-256 of the line
before, and number and hash of the newest link of the record's chain. While the server runs, `Sealing` makes them off
the request path and sends each of them off the machine.
"""

import asyncio
import base64
import binascii
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, ClassVar, Final
from zlib import crc32

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import select, text

from cds_hooks.evidence.storage.chain import NEWEST_LINK
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import CHAINED, chain, removals
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log
from fhir.terminology.plain_file import read_plain, unreadable
from models_onnx.artifact.keys import Keys, Signer, read_signer

_LOOKED_AT: Final = 5_000
"""So many of the newest rows that are sealed are looked for before the next seal; a verification looks for all."""


class SealsUnusable(Exception):
    """The seals cannot be read or were not made by the key; one sentence."""

    what_cannot_be_used: ClassVar[str] = "The record's seals"


class RecordCut(SealsUnusable):
    """The record does not hold what its newest seal says it held."""


class Seal(Struct, frozen=True):
    """How far the record went at one time."""

    number: int
    at: str
    before: str
    """SHA-256 of the line of the seal before, hexadecimal; empty for the first."""
    row: int
    """The number of the newest row."""
    hash: str
    """The hash of its link, hexadecimal."""

    @property
    def time(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.at)


class _Line(Struct, frozen=True):
    seal: Seal
    key: str
    signature: str


def next_seal(url: str, last: Seal | None, line: bytes | None) -> Seal | None:
    """Return what is to be sealed after `last`, whose line is `line`; None where nothing has moved.

    It only reads.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    rows = read_rows(url, text(NEWEST_LINK))
    if not rows or (last is not None and rows[0].sequence == last.row):
        return None
    at = datetime.now(UTC).isoformat(timespec="seconds")
    before = hashlib.sha256(line).hexdigest() if line else ""
    return Seal((last.number if last else 0) + 1, at, before, rows[0].sequence, bytes(rows[0].hash).hex())


def _refuse_cut(url: str, last: Seal) -> None:
    """Raise RecordCut where the link that the newest seal names differs or is not there, or a row of the newest."""
    rows = read_rows(url, select(chain.c.hash).where(chain.c.sequence == last.row))
    is_there = bool(rows) and bytes(rows[0].hash).hex() == last.hash
    gone = _first_deleted(url, last.row) if is_there else last.row
    if gone is not None:
        raise RecordCut(
            f"the record does not hold row {gone} as seal {last.number} sealed it: it was cut, rolled back or "
            "changed, and no further seal is made (docs/operations/evidence.md)"
        )


def _first_deleted(url: str, upto: int) -> int | None:
    """Return the first of the newest rows up to a number that has its link and is in no table; None where all are.

    What a retention run takes out is in `removals` before, which is therefore read last.
    """
    newest = (upto - _LOOKED_AT, upto)
    missing = {row[0] for row in read_rows(url, select(chain.c.sequence).where(chain.c.sequence.between(*newest)))}
    for table in CHAINED:
        missing -= {row[0] for row in read_rows(url, select(table.c.sequence).where(table.c.sequence.between(*newest)))}
    for run in read_rows(url, select(removals)) if missing else ():
        missing = {number for number in missing if not run.first_number <= number <= run.last_number}
    return min(missing, default=None)


def sign_seal(seal: Seal, signer: Signer) -> bytes:
    """Return the line of this seal, without its end of line."""
    body = msgspec.to_builtins(seal)
    signature = base64.b64encode(signer.sign(_signed(body))).decode()
    return orjson.dumps({"seal": body, "key": signer.public.id, "signature": signature}, option=orjson.OPT_SORT_KEYS)


def _signed(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def read_seals(file: Path, keys: Keys) -> list[Seal]:
    """Return all seals of the file; SealsUnusable where one is missing, was changed, or is of another key."""
    try:
        lines = read_plain(file).splitlines()
    except OSError as error:
        raise SealsUnusable(f"the file of seals {unreadable(file, error)}") from error
    seals: list[Seal] = []
    before = b""
    for line in lines:
        seal = _read_line(line, len(seals) + 1, keys)
        if seal.number != len(seals) + 1 or seal.before != (hashlib.sha256(before).hexdigest() if before else ""):
            raise SealsUnusable(f"seal {len(seals) + 1} is missing from {file}, or the one before it was changed")
        seals.append(seal)
        before = line
    if not seals:
        raise SealsUnusable(f"there is no seal in {file}")
    return seals


def _read_line(line: bytes, number: int, keys: Keys) -> Seal:
    try:
        read = msgspec.json.decode(line, type=_Line)
        body = orjson.loads(line)["seal"]
        signature = base64.b64decode(read.signature, validate=True)
    except (msgspec.MsgspecError, ValueError, binascii.Error) as error:
        raise SealsUnusable(f"line {number} of the seals is not a seal") from error
    key = keys.get(read.key)
    if key is None:
        raise SealsUnusable(f"seal {number} is signed by the key {read.key}, which is not trusted here")
    if not key.verifies(signature, _signed(body)):
        raise SealsUnusable(f"the signature of seal {number} is not of this seal")
    return read.seal


_LOCK_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02


@contextmanager
def locked(file: Path) -> Iterator[int]:
    """Yield the file of seals, open for adding, for one process at a time.

    Raises:
        OSError: It cannot be opened, or another program holds it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        until = monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > until:
                    raise
            sleep(_LOOK_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def add_seal(
    url: str, file: Path, signer: Signer, check: Callable[[bytes], None] = lambda _content: None
) -> bytes | None:
    """Seals what is new and adds the line to the file; None where nothing is.

    `check` is called with the file's content, and raises where nothing is to be added to it.

    Raises:
        RecordUnavailable: The record cannot be read.
        OSError: The file cannot be written.
        SealsUnusable: The file's last line is not a seal.
        RecordCut: The record does not hold what was sealed. It is not sealed on: a seal would hide that.
    """
    with locked(file) as descriptor:
        content = read_plain(file)
        check(content)
        lines = content.splitlines()
        last = _last(lines)
        if last is not None:
            _refuse_cut(url, last)
        seal = next_seal(url, last, lines[-1] if lines else None)
        if seal is None:
            return None
        line = sign_seal(seal, signer)
        os.write(descriptor, line + b"\n")
        os.fsync(descriptor)
        return line


def newest_seal(file: Path) -> Seal | None:
    """Return the last seal of the file, its signature not looked at; None without one.

    Raises:
        SealsUnusable: The last line is not a seal.
        OSError: The file is there and cannot be read.
    """
    return _last(read_plain(file).splitlines()) if file.exists() else None


def _last(lines: Sequence[bytes]) -> Seal | None:
    if not lines:
        return None
    try:
        return msgspec.json.decode(lines[-1], type=_Line).seal
    except msgspec.MsgspecError as error:
        raise SealsUnusable("the last line of the file is not a seal; keep the file and begin a new one") from error


_SEND_SECONDS: Final = 10.0


# ValueError: the number of the seals that were sent is not a number
_FAILURES: Final = (RecordUnavailable, SealsUnusable, OSError, subprocess.SubprocessError, ValueError)


class Sealing:
    """The background task of one server process; of several processes whichever is first adds the next seal."""

    def __init__(self, configured: Settings) -> None:
        """`seal_key` has to be set.

        Raises:
            SignatureRefused: The key cannot be read.
            SealsUnusable: The folder of the seals or the program that sends them is not there.
        """
        self._url = configured.database_url
        self._file = configured.seal_file
        self._seconds = configured.seal_seconds
        self._command = shlex.split(configured.seal_command or "")
        assert configured.seal_key is not None  # noqa: S101 - told to mypy; the caller looked
        self._signer = read_signer(configured.seal_key, "record")
        _refuse_missing(self._file, self._command)
        self.failures = 0
        """How often the record could not be sealed, or a seal not be sent, since the process started."""
        self.is_failing = False
        """Whether the newest seal was not made, or not sent."""
        self.cut = ""
        """What the record does not hold any more of what was sealed, a sentence; "" where nothing is known."""
        self._left = self._read = (0, 0)
        """Length and checksum of the file as this process could use it last; what was only read may be damaged."""
        self.sealed_at = self._last_seal()
        """Epoch seconds until which everything recorded is sealed and, where a command sends seals, sent."""

    def _last_seal(self) -> float:
        """When the newest seal that was sent was made; now where there is none, so that the first gets its time.

        Where seals are there and none was sent, it is the time of the first: nothing before it needed sending.
        """
        try:
            last = newest_seal(self._file)
            if last is not None and self._command:
                sent_file = sent_count_file(self._file)
                sent = int(sent_file.read_text(encoding="ascii") or 0) if sent_file.exists() else 0
                last = _last(read_plain(self._file).splitlines()[: max(1, sent)])
        except (SealsUnusable, OSError, ValueError):
            return time()
        return time() if last is None else last.time.timestamp()

    async def keep_sealing(self) -> None:
        """Seals at intervals, until canceled."""
        while True:
            await asyncio.sleep(self._seconds)
            await asyncio.to_thread(self.seal)

    def seal(self) -> bool:
        """Seals once and sends what was not sent; whether that worked. What failed is in the log and tried again."""
        began = time()
        try:
            add_seal(self._url, self._file, self._signer, self._refuse_changed)
            self._left = self._read
            self._send()
        except _FAILURES as error:
            self.failures += 1
            self.is_failing = True
            self.cut = str(error) if isinstance(error, RecordCut) else self.cut
            log().error("record not sealed or seal not sent", error_type=type(error).__name__)
            return False
        self.sealed_at, self.cut, self.is_failing = began, "", False
        return True

    def _refuse_changed(self, content: bytes) -> None:
        """Raise SealsUnusable where seals are gone or damaged: others would be added, and nobody would notice.

        Where the record itself was cut, a person puts a new file in its place.
        """
        length, checksum = (0, 0) if self.cut else self._left
        if crc32(content[:length]) != checksum:
            raise SealsUnusable(
                "seals that this server wrote are gone from their file, or changed: put it back, or move it away and "
                "restart the server"
            )
        self._read = (len(content), crc32(content))

    def _send(self) -> None:
        """Send every line after the last one that was sent; the number of these is kept beside the seals.

        One process at a time, so that no line is sent twice.
        """
        if not self._command:
            return
        sent_file = sent_count_file(self._file)
        with locked(sent_file):
            sent = int(sent_file.read_text(encoding="ascii") or 0)
            for line in read_plain(self._file).splitlines()[sent:]:
                subprocess.run(self._command, input=line + b"\n", check=True, timeout=_SEND_SECONDS)  # noqa: S603
                sent += 1
                sent_file.write_text(str(sent), encoding="ascii")


def _refuse_missing(file: Path, command: Sequence[str]) -> None:
    if file.parent != Path("var") and not file.parent.is_dir():
        raise SealsUnusable(
            f"the folder {file.parent} of the seals is not there: mount its volume, or make it for new seals"
        )
    if command and shutil.which(command[0]) is None:
        raise SealsUnusable("the program that CDS_SEAL_COMMAND begins with is not there, or cannot be run")


def sent_count_file(seals: Path) -> Path:
    """Return where the number of seals that were sent is kept."""
    return seals.with_name(seals.name + ".sent")
