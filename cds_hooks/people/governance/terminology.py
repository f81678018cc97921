"""Which imported terminology lookups read: the file that CDS_TERMINOLOGY names, or of a folder the one in force.

In a folder an index is in force by an act of two people, as a rule is, and one person takes it back to the one before.
Every process sees the act within half a second and changes between two calls, so that no decision is read by two
indexes; an index that was changed or cut is never used.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from cds_hooks.call.hold_back.released import Released
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.governance.acts import READ_SECONDS
from cds_hooks.people.governance.releases import Releases
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log
from fhir.record.measurement import read_imported_codes
from fhir.terminology.imported import (
    WrongIndex,
    digest_of,
    use_index,
)

SUFFIX: Final = ".idx"
REPORT: Final = ".report.csv"
"""How the table of differences from our tables ends, beside the index."""


def index_in_force(configured: Settings, released: Released) -> Path | None:
    """Return the index that lookups should read by the settings and the acts; it need not be there."""
    path = configured.terminology
    if path is not None and configured.terminology_is_folder:
        path = path / f"{released.terminologies[-1]}{SUFFIX}" if released.terminologies else None
    return path


def use_terminology(index: Path | None) -> None:
    """Make lookups read it.

    Raises:
        WrongIndex: The index cannot be used; nothing was changed then.
    """
    use_index(index)
    read_imported_codes()


def use_by_acts(configured: Settings) -> None:
    """Make a command or a server that starts read what is in force; without a record only what the setting names.

    Raises:
        WrongIndex: The index that is in force cannot be used.
    """
    releases = Releases(by_two_people=configured.trust_file is not None)
    try:
        releases.read(configured.database_url)
    except RecordUnavailable:
        releases = Releases()
    use_terminology(index_in_force(configured, releases.current))


def whole_indexes(configured: Settings) -> dict[str, str]:
    """Return the indexes of the folder that can be used, by name, each with the digest that an act names."""
    folder, whole = configured.terminology, {}
    for path in sorted(folder.glob(f"*{SUFFIX}")) if folder is not None else ():
        try:
            if digest_of(path) == path.stem:
                whole[path.stem] = path.stem
        except WrongIndex:
            continue
    return whole


def _version(path: Path | None) -> tuple[Path | None, tuple[int, int, int] | None]:
    """Return what is another one after the file came or was changed."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        status = None
    return path, (status.st_ino, status.st_size, status.st_mtime_ns) if status is not None else None


BetweenCalls = Callable[[Callable[[], None]], Awaitable[None]]
"""Does some work when no call is under way: `Computing.between_calls`."""


async def keep_in_force(configured: Settings, releases: Releases, between_calls: BetweenCalls) -> None:
    """Change what this process reads between two calls, whenever an act asks for something else, until canceled."""
    used, refused = index_in_force(configured, releases.current), None
    while True:
        wanted = index_in_force(configured, releases.current)
        if wanted != used and _version(wanted) != refused:
            try:
                if wanted is not None:
                    await asyncio.to_thread(digest_of, wanted)
                await between_calls(partial(use_terminology, wanted))
                used = wanted
                log().info("terminology in force", reason=wanted.stem if wanted is not None else "none")
            except WrongIndex:
                refused = _version(wanted)  # said once; what was in force goes on until the file is another
                log().error("an index of terminologies cannot be used, the last good one stays", reason="wrong-index")
            except TimeoutError:
                log().warning("a call did not end in time, the terminology is changed later")
        await asyncio.sleep(READ_SECONDS)
