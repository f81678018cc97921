"""Seals the record while the server runs, off the request path, and sends each seal off the machine."""

import asyncio
import shlex
import subprocess
from pathlib import Path
from time import time
from typing import Final

import httpx

from cds_hooks.audit.seals import SealsUnusable, add_seal, locked, newest_seal
from cds_hooks.logs import log
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import read_signer

_SEND_SECONDS: Final = 10.0
_FAILURES: Final = (
    RecordUnavailable, SealsUnusable, OSError, subprocess.SubprocessError, httpx.HTTPError,
    ValueError,  # the number of the seals that were sent is no number
)  # fmt: skip


class Sealing:
    """The background task of one server process; of several processes whichever is first adds the next seal."""

    def __init__(self, configured: Settings) -> None:
        """SignatureRefused where there is a key that cannot be read. Without a key nothing is sealed."""
        self._url = configured.database_url
        self._file = configured.seal_file
        self._seconds = configured.seal_seconds
        self._command = shlex.split(configured.seal_command or "")
        self._address = configured.seal_url
        self._signer = read_signer(configured.seal_key, "record") if configured.seal_key is not None else None
        self.failures = 0
        """How often the record could not be sealed, or a seal not be sent, since the process started."""
        self.sealed_at: float | None = None if self._signer is None else self._last_seal()
        """Epoch seconds until which everything recorded is sealed and sent; None where nothing is to be sealed."""

    def _last_seal(self) -> float:
        """When the newest seal of the file was made; now where there is none, so that the first gets its time."""
        try:
            last = newest_seal(self._file)
        except (SealsUnusable, OSError):
            return time()
        return time() if last is None else last.time.timestamp()

    async def keep_sealing(self) -> None:
        """Seals at intervals, until cancelled."""
        while self._signer is not None:
            await asyncio.sleep(self._seconds)
            await asyncio.to_thread(self.seal)

    def seal(self) -> bool:
        """Seals once and sends what was not sent; whether that worked. What failed is in the log and tried again."""
        if self._signer is None:
            return True
        began = time()
        try:
            add_seal(self._url, self._file, self._signer)
            self._send()
        except (
            RecordUnavailable,
            SealsUnusable,
            OSError,
            subprocess.SubprocessError,
            httpx.HTTPError,
            ValueError,
        ) as error:
            self.failures += 1
            log().error("record not sealed or seal not sent", error_type=type(error).__name__)
            return False
        self.sealed_at = began
        return True

    def _send(self) -> None:
        """Sends every line after the last one that was sent; the number of these is kept beside the seals.

        One process at a time, so that no line is sent twice.
        """
        if not self._command and self._address is None:
            return
        sent_file = sent_count_file(self._file)
        with locked(sent_file):
            sent = int(sent_file.read_text(encoding="ascii") or 0)
            for line in self._file.read_bytes().splitlines()[sent:]:
                self._send_line(line)
                sent += 1
                sent_file.write_text(str(sent), encoding="ascii")

    def _send_line(self, line: bytes) -> None:
        if self._command:
            subprocess.run(self._command, input=line + b"\n", check=True, timeout=_SEND_SECONDS)  # noqa: S603
        if self._address is not None:
            headers = {"Content-Type": "application/json"}
            httpx.post(self._address, content=line, headers=headers, timeout=_SEND_SECONDS).raise_for_status()


def sent_count_file(seals: Path) -> Path:
    """Where the number of seals that were sent is kept."""
    return seals.with_name(seals.name + ".sent")
