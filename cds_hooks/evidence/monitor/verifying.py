"""Verifies the record once a day, in a process of its own with the lowest priority; /ops shows what was found last."""

import asyncio
import os
import sys
from random import uniform
from time import time
from typing import Final

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log

_DAY_SECONDS: Final = 86_400
_LOOK_SECONDS: Final = (3_000, 4_200)
"""Between these a worker looks whether a run is due: a random time, so that of several workers one comes first."""


async def keep_verifying(configured: Settings, views: Views) -> None:
    """Verify the record where nobody has for a day, until canceled."""
    while True:
        await asyncio.sleep(uniform(*_LOOK_SECONDS))  # noqa: S311 - no secret
        if await asyncio.to_thread(_is_due, views) and await verify(configured):
            log().error("record is not as it was written", reason="cds-hooks record verify")


def _is_due(views: Views) -> bool:
    try:
        last = CountBook(views).last_verification()
    except RecordUnavailable:
        return False  # what is found could not be noted
    return last is None or time() - last.at > _DAY_SECONDS


async def verify(configured: Settings) -> int:
    """Run `cds-hooks record verify`, which notes in the views what it finds, and return its exit code."""
    command = ["-m", "cds_hooks", "record", "verify"]
    if configured.seal_key is not None and configured.seal_file.exists():
        command += ["--against", str(configured.seal_file)]
    quiet = asyncio.subprocess.DEVNULL
    environment = os.environ | {"CDS_DATABASE_URL": configured.database_url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=quiet, stderr=quiet, env=environment
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
