"""Looks at the files and stores that no call asks for, so that a fault of one is told before somebody needs it.

Keys, models, tables and the OpenID provider are read once, at the start. The server goes on with what it read where
such a file is damaged, changed or gone, and would notice at its next start. Accounts are asked when a person logs in,
seals are made by the minute, and a disk is full from one call to the next. What is wrong is in `cds_store_out`, which
an alert reads, at /readyz and on /ops. No path is named: whoever reaches the server reads /readyz.
"""

import asyncio
import shutil
import sqlite3
import time as clocks
from collections.abc import Callable, Iterator, Mapping
from hashlib import file_digest, sha256
from math import inf
from pathlib import Path
from time import CLOCK_MONOTONIC, clock_gettime, monotonic, time
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from cds_hooks.call.security.certificates import ending_certificate
from cds_hooks.evidence.storage.database import database_error_reason, parse_url, sqlite_file
from cds_hooks.people.access.store import AccessStore, AccountsUnavailable
from cds_hooks.settings import Settings
from cds_hooks.telemetry.metrics import Metrics
from cds_hooks.telemetry.readings import hanging_readings
from fhir.terminology.imported import WrongIndex, digest_of, in_use
from fhir.terminology.plain_file import open_plain
from models_onnx.serving.registry import ARTIFACTS

if TYPE_CHECKING:
    from cds_hooks.add_ons.events.runner import Events

_READ_AGAIN: Final = frozenset({"trust_file", "rules_file", "terminology"})
"""Settings whose files are followed while the server runs: the trust file has an alert of its own, the rules file says
itself whether it was refused, and which index of terminologies counts is an act."""
_LATELY_SECONDS: Final = 60.0
"""Work that fails is begun again after a second, and may wait half a minute for a lock."""
_LONGEST_LOOK_SECONDS: Final = 30.0
"""A look that takes longer waits for a disk or a network that does not answer, and hides every other fault."""
_SINCE_BOOT: Final = getattr(clocks, "CLOCK_BOOTTIME", CLOCK_MONOTONIC)
"""The clock that goes on while the machine is suspended: a resume sets no clock."""
_CLOCK_SET_SECONDS: Final = 60.0
_CLOCK_TOLD_SECONDS: Final = 3600.0
_SHARE_LEFT: Final = 0.05
_BYTES_LEFT: Final = 1024**3
"""A disk with less than this and less than the share is as good as full: at 200 calls a second 1 GB is some minutes."""


class Stores:
    """What one server process was started with, and where it writes."""

    def __init__(
        self,
        configured: Settings,
        metrics: Metrics,
        seals_fail: Callable[[], bool] = lambda: False,
        events: "Events | None" = None,
        index: Callable[[], Path | None] = lambda: None,
        followed: Mapping[str, Callable[[], str]] = MappingProxyType({}),
    ) -> None:
        """Take a digest of each file that was read.

        Args:
            configured: The settings, which name the files.
            metrics: What knows of work that failed.
            seals_fail: Whether the newest seal was not made or sent.
            events: The site's feeds.
            index: The index of terminologies that the site wants.
            followed: What is followed while the server runs, by its name: each gives a sentence where the newest is not
                in force, else "".
        """
        self._configured = configured
        self._metrics = metrics
        self._seals_fail = seals_fail
        self._events = events
        self._index = index
        self._followed = followed
        self._other_index: Path | None = None
        self._index_named: tuple[object, str] = (None, "")
        self._accounts = AccessStore(configured.database_url)
        self._files = dict(_files(configured))
        if events is not None and configured.events_file is not None:
            self._files |= events.declaration.read_once(configured.events_file)
        self._started_with = {name: _digest(path) for name, path in self._files.items()}
        self._clock_began = time() - clock_gettime(_SINCE_BOOT)
        self._clock_set = (-inf, "")
        self._out: list[tuple[str, str]] = []
        self._looked_at = monotonic()

    @property
    def out(self) -> list[tuple[str, str]]:
        """The name of each store that cannot be used, and what is wrong in a sentence."""
        seconds = monotonic() - self._looked_at
        out = [*self._out, *hanging_readings()]
        if seconds < self._configured.look_seconds + _LONGEST_LOOK_SECONDS:
            return out
        return [*out, ("look", f"Files and stores were not looked at for {seconds:.0f} s: one does not answer.")]

    async def keep_looking(self) -> None:
        """Look again and again, until canceled."""
        while True:
            self._out = await asyncio.to_thread(lambda: list(self._look()))
            self._looked_at = monotonic()
            await asyncio.sleep(self._configured.look_seconds)

    def _look(self) -> Iterator[tuple[str, str]]:
        for name, path in self._files.items():
            digest = _digest(path)
            if digest != self._started_with[name]:
                fault = "cannot be read" if digest is None else "was changed after the start"
                sentence = f"What {name} names {fault}; the server goes on with what it read, until it is restarted."
                yield name, sentence
        yield from ((name, sentence) for name, fault in self._followed.items() if (sentence := fault()))
        if fault := self._clock_fault():
            yield "clock", fault
        if self._has_other_index():
            yield "CDS_TERMINOLOGY", "The index of terminologies that is asked for cannot be used; another is in force."
        if monotonic() - self._metrics.work_failed_at < _LATELY_SECONDS:
            yield "work", "Acts, approvals, feeds or the views of the record are not read or written; the log says why."
        if self._seals_fail():
            yield "seals", "The record is not sealed, or its seals are not sent."
        if self._configured.login != "none":
            try:
                self._accounts.check()
            except AccountsUnavailable as error:
                reason = database_error_reason(cast("Exception", error.__cause__))  # its own words have the address
                yield "accounts", f"Accounts cannot be used, so nobody can log in: {reason}."
        folders = _folders(self._configured)
        if self._events is not None:
            folders["the feeds"] = self._events.inbox.file.parent
            if fault := self._events.certificate_fault() or ending_certificate(self._events.certificates()):
                yield "feed-certificates", fault
            if fault := self._events.client_fault:
                yield "feed-client", fault
            try:
                self._events.inbox.check()
            except (sqlite3.Error, OSError) as error:
                reason = database_error_reason(error)
                yield "events", f"The file of the feeds cannot be used, so no message is acknowledged: {reason}."
        for of, folder in folders.items():
            try:
                disk = shutil.disk_usage(folder)
            except OSError as error:
                yield "disk", f"The folder of {of} cannot be used: {error.strerror}."
                continue
            if disk.free < min(_BYTES_LEFT, _SHARE_LEFT * disk.total):
                yield "disk", f"The disk of {of} is full or nearly so: {disk.free // 2**20:,} MB are left."

    def _clock_fault(self) -> str:
        """Return a sentence for an hour after the clock was set, else "": ages and due dates follow it."""
        before, self._clock_began = self._clock_began, time() - clock_gettime(_SINCE_BOOT)
        moved = self._clock_began - before
        if abs(moved) > _CLOCK_SET_SECONDS:
            minutes = f"{abs(moved) / 60:,.0f} minutes {'forward' if moved > 0 else 'back'}"
            then = "Ages, due dates and the ends of tokens follow it: check that it is right now."
            self._clock_set = (monotonic(), f"The clock of this machine was set {minutes} within the last hour. {then}")
        told_since, sentence = self._clock_set
        return sentence if monotonic() - told_since < _CLOCK_TOLD_SECONDS else ""

    def _has_other_index(self) -> bool:
        """Return whether lookups read another index than the site wants, at this look and at the one before."""
        path, before = self._index(), self._other_index
        self._other_index = path if path is not None and self._index_name(path) != in_use().index else None
        return self._other_index is not None and self._other_index == before

    def _index_name(self, path: Path) -> str:
        """Return the digest of an index, "" where it cannot be used; one that was not touched is not read again."""
        try:
            status = path.stat()
            version = (path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._index_named[0] != version:
                self._index_named = (version, digest_of(path))
        except (OSError, WrongIndex):
            self._index_named = (None, "")
        return self._index_named[1]


def _files(configured: Settings) -> Mapping[str, Path]:
    """Return the files and folders that are read at the start, by the name of their setting."""
    named = {
        f"CDS_{name.upper()}": value
        for name in type(configured).model_fields
        if name not in _READ_AGAIN and isinstance(value := getattr(configured, name), Path)
    }
    if configured.services is not None and Path(configured.services).is_file():
        named["CDS_SERVICES"] = Path(configured.services)
    if configured.record_user != "hashed":
        named.pop("CDS_USER_KEYS", None)
    return {**named, "models": ARTIFACTS}


def _folders(configured: Settings) -> dict[str, Path]:
    url = parse_url(configured.database_url)
    is_file = url.get_backend_name() == "sqlite"
    folders = {"the record": sqlite_file(url).parent} if is_file else {}
    return folders | ({"the seals": configured.seal_file.parent} if configured.seal_key is not None else {})


def _digest(path: Path) -> bytes | None:
    """Return the hash of the file, or of all files in the folder with their names; None where one cannot be read."""
    digest = sha256()
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            with open_plain(file) as opened:
                of_file = file_digest(opened, "sha256").digest()
            digest.update(b"%s " % file.relative_to(path).as_posix().encode() + of_file)
    except OSError:
        return None
    return digest.digest()
