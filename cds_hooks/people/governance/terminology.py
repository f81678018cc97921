"""Which imported terminology lookups read: the file that CDS_TERMINOLOGY names, or of a folder the one in force.

In a folder an index is in force by an act of two people, as a rule is, and one person takes it back to the one before.
Every process sees the act within half a second and changes between two calls, so that no decision is read by two
indexes; an index that was changed or cut is never used. A mapping of a single code or name is an act as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from cds_hooks.call.hold_back.released import Released
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.people.governance.acts import READ_SECONDS, ApprovalRefused
from cds_hooks.people.governance.releases import Releases
from cds_hooks.settings import Settings
from cds_hooks.telemetry.logs import log
from fhir.record.measurement import read_imported_codes
from fhir.terminology.conditions import code_system
from fhir.terminology.imported import (
    NAME_SYSTEM,
    Meaning,
    WrongIndex,
    digest_of,
    plain_address,
    plain_code,
    plain_name,
    use_index,
)
from fhir.terminology.medications import drug_system

SUFFIX: Final = ".idx"
REPORT: Final = ".report.csv"
"""How the table of differences from our tables ends, beside the index."""
REPLAY: Final = ".replay.json"
"""How the file ends, beside the index, that says what it changes about decisions of the record."""
_LONGEST: Final = 200
MEANING_KINDS: Final = ("group", "drug", "allergen", "vaccine", "analyte")

Wanted = tuple[Path | None, Mapping[tuple[str, str], Meaning]]
"""The index and the mappings that lookups should read."""


def index_in_force(configured: Settings, released: Released) -> Wanted:
    """Return what lookups should read by the settings and the acts; raise nothing, also if the index is not there."""
    mappings = {}
    for name, version in released.mappings.items():
        with suppress(ApprovalRefused):  # it was approved with tables that had this meaning
            mappings[mapping_key(name)] = _meaning(version, name)
    path = configured.terminology
    if path is not None and path.is_dir():
        path = path / f"{released.terminologies[-1]}{SUFFIX}" if released.terminologies else None
    return path, mappings


def use_terminology(wanted: Wanted) -> None:
    """Make lookups read it.

    Raises:
        WrongIndex: The index cannot be used; nothing was changed then.
    """
    use_index(*wanted)
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


BetweenCalls = Callable[[Callable[[], None]], Awaitable[None]]
"""Does some work when no call is under way: `Computing.between_calls`."""


async def keep_in_force(configured: Settings, releases: Releases, between_calls: BetweenCalls) -> None:
    """Change what this process reads between two calls, whenever an act asks for something else, until canceled."""
    used = index_in_force(configured, releases.current)
    while True:
        wanted = index_in_force(configured, releases.current)
        if wanted != used:
            try:
                if wanted[0] is not None:
                    await asyncio.to_thread(digest_of, wanted[0])
                await between_calls(partial(use_terminology, wanted))
                used = wanted
                log().info("terminology in force", reason=wanted[0].stem if wanted[0] is not None else "none")
            except WrongIndex:
                used = wanted  # said once; what was in force goes on
                log().error("an index of terminologies cannot be used, the last good one stays", reason="wrong-index")
            except TimeoutError:
                log().warning("a call did not end in time, the terminology is changed later")
        await asyncio.sleep(READ_SECONDS)


def mapping_name(system: str | None, code: str) -> str:
    """How an act names a code, or, without a system, a whole name of a list."""
    if system is None:
        return f"{NAME_SYSTEM} {plain_name(code)}"
    short = code_system(system) or drug_system(system) or plain_address(system)
    return f"{short} {plain_code(short, code)}"


def mapping_key(name: str) -> tuple[str, str]:
    """Return the code system and code of such a name."""
    system, _, code = name.partition(" ")
    return system, code


def check_mapping(name: str, meaning: str, *, is_new: bool) -> None:
    """Nothing where a code can be mapped to a meaning, as "group hf" or "not read".

    Raises:
        ApprovalRefused: It has no system and code, is too long, or the meaning is in none of our tables.
    """
    system, code = mapping_key(name)
    if not system or not code.strip() or len(name) > _LONGEST:
        raise ApprovalRefused("a mapping names a code system and a code, or a whole name of at most 200 characters")
    if is_new:
        _meaning(meaning, name)


def _meaning(meaning: str, name: str) -> Meaning:
    from fhir.terminology.definitions import WrongDefinition
    from fhir.terminology.site_table import meaning_in_words  # imported here: only a site that maps needs it

    if meaning == "not read":
        return Meaning(nothing=True, by=meaning)
    kind, _, keys = meaning.partition(" ")
    if kind not in MEANING_KINDS:
        raise ApprovalRefused(
            f"{name[:80]}: {meaning[:60]!r} is not one of {', '.join(MEANING_KINDS)} with an id, or not read"
        )
    try:
        return meaning_in_words({kind: keys}, meaning)
    except WrongDefinition as fault:
        raise ApprovalRefused(f"{name[:80]}: {fault}") from None
