"""Seals the record while the server runs, off the request path, and sends each seal off the machine."""

import asyncio
import shlex
import subprocess
from pathlib import Path
from typing import Final

import httpx

from cds_hooks.audit.seals import SealsUnusable, add_seal
from cds_hooks.logs import log
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import read_signer

_SEND_SECONDS: Final = 10.0


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

    async def keep_sealing(self) -> None:
        """Seals at intervals, until cancelled."""
        while self._signer is not None:
            await asyncio.sleep(self._seconds)
            await asyncio.to_thread(self.seal)

    def seal(self) -> bool:
        """Seals once and sends what was not sent; whether that worked. What failed is in the log and tried again."""
        if self._signer is None:
            return True
        try:
            add_seal(self._url, self._file, self._signer)
            self._send()
        except (RecordUnavailable, SealsUnusable, OSError, subprocess.SubprocessError, httpx.HTTPError) as error:
            log().error("record not sealed or seal not sent", error_type=type(error).__name__)
            return False
        return True

    def _send(self) -> None:
        """Sends every line after the last one that was sent; the number of these is kept beside the seals."""
        if not self._command and self._address is None:
            return
        sent_file = sent_count_file(self._file)
        sent = int(sent_file.read_text(encoding="ascii")) if sent_file.exists() else 0
        for line in self._file.read_bytes().splitlines()[sent:]:
            if self._command:
                subprocess.run(self._command, input=line + b"\n", check=True, timeout=_SEND_SECONDS)  # noqa: S603
            if self._address is not None:
                headers = {"Content-Type": "application/json"}
                httpx.post(self._address, content=line, headers=headers, timeout=_SEND_SECONDS).raise_for_status()
            sent += 1
            sent_file.write_text(str(sent), encoding="ascii")


def sent_count_file(seals: Path) -> Path:
    """Where the number of seals that were sent is kept."""
    return seals.with_name(seals.name + ".sent")
